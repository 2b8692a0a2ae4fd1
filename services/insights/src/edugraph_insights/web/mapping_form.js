// @ts-check
// The mapping of a table as a form: what no column says, and which field each column gives.

import { h } from './parts.js';
import { t, told } from './words.js';

const UNKNOWN = '?'; // stands in a mapping where a person must say the value
const ITEM = '(item)'; // no field has this name
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/**
 * Return the form of a mapping: `section`, and `answers`, a function that returns what a person has changed or filled in
 * as the API takes it, or null. `day` is proposed where no column says when. `courses` are those that the reader knows.
 */
export function mappingForm(form, { day, courses, onChange }) {
  const constants = Object.entries(form.constants).map(([field, given]) => ({ field, given, control: constantInput(field, given, day) }));
  const dayFirst = form.asks_day_first ? dayFirstSelect() : null;
  const columns = form.columns.map((each, place) => ({ ...each, control: fieldSelect(form, each, place) }));
  const section = h('div', { id: 'mapping-form', oninput: onChange },
    (constants.length > 0 || dayFirst) && [
      h('h4', {}, t('imports.no_column_says')),
      h('div', { class: 'form-rows' }, constants.map(each => constantRow(each, courses)), dayFirst && dayFirstRow(dayFirst))],
    h('h4', {}, t('imports.columns')),
    h('p', { class: 'note' }, t('imports.columns_note')),
    h('div', { class: 'form-rows' }, columns.map(columnRow)));
  const answers = () => {
    const given = {};
    for (const { column, control } of columns) {
      if (control.value !== control.dataset.before) (given.columns ??= {})[column] = control.value || null;
    }
    for (const { field, given: before, control } of constants) {
      const value = control.value.trim();
      if (value !== '' && value !== before) (given.constants ??= {})[field] = value;
    }
    if (dayFirst?.value) given.day_first = dayFirst.value === 'day';
    return Object.keys(given).length > 0 ? given : null;
  };
  return { section, answers };
}

function constantInput(field, given, day) {
  const isDay = field === 'timestamp' && (given === UNKNOWN || DAY.test(given));
  const input = h('input', { type: isDay ? 'date' : 'text', id: `constant-${field}`, 'data-keep-focus': `constant-${field}`, 'data-constant': field, 'data-asks': given === UNKNOWN ? 'yes' : null });
  input.value = given === UNKNOWN ? '' : given;
  if (isDay && given === UNKNOWN) input.value = day;
  if (field === 'course_id') input.setAttribute('list', 'known-courses');
  return input;
}

function constantRow({ field, given, control }, courses) {
  const known = field === 'course_id' && h('datalist', { id: 'known-courses' }, courses.map(each => h('option', { value: each.id }, each.name)));
  const note = field === 'timestamp' ? t('imports.day_note') : given === UNKNOWN && t('imports.asked_note');
  return h('div', { class: given === UNKNOWN ? 'form-row asks' : 'form-row' },
    h('label', { for: control.id }, told('field', field)), control, known, note && h('span', { class: 'note' }, note));
}

function dayFirstSelect() {
  return h('select', { id: 'day-first', 'data-keep-focus': 'day-first' }, h('option', { value: '' }, t('imports.choose_one')), h('option', { value: 'day' }, t('imports.day_first')), h('option', { value: 'month' }, t('imports.month_first')));
}

function dayFirstRow(select) {
  return h('div', { class: 'form-row asks' }, h('label', { for: select.id }, t('imports.dates')), select);
}

/** Return the select of a column. A column of marks can only be left out: its points are asked for elsewhere. */
function fieldSelect(form, { field, is_item: isItem }, place) {
  const before = isItem ? ITEM : field ?? '';
  const values = isItem ? ['', ITEM] : ['', ...form.fields];
  if (!values.includes(before)) values.push(before);
  const options = values.map(value => h('option', { value, selected: value === before }, fieldWords(value)));
  return h('select', { id: `field-${place}`, 'data-keep-focus': `field-${place}`, 'data-before': before }, options);
}

function fieldWords(value) {
  if (value === '') return t('imports.leave_out');
  if (value === ITEM) return t('imports.is_item');
  return told('field', value);
}

function columnRow({ column, samples, control }) {
  return h('div', { class: 'form-row', 'data-column': column },
    h('label', { for: control.id }, column), control, h('span', { class: 'note' }, samples.length > 0 ? samples.join(' · ') : t('imports.empty_column')));
}
