// @ts-check
// A file on its way in: what it is, how a table is mapped, what would become of its rows, and the start of the import.

import { write } from './api.js';
import { focusIn, giveBack } from './focus.js';
import { mappingForm } from './mapping_form.js';
import { asEnglish, h, refusal, table, value } from './parts.js';
import { inReadersWords, learnRejects } from './rejects.js';
import { changed } from './state.js';
import { LANGUAGES, dayOf, number, plural, share, t, told } from './words.js';

const PART_BYTES = 8 * 1024 * 1024; // the most that a preview takes
const CONTENT_TYPES = { ndjson: 'application/x-ndjson', csv: 'text/csv' };
const FIELD_OF_REJECT = /\(data\.(\w+)\)$/; // after the name of a column
// Kinds of record with a template in templates/LANGUAGE/, those that most people begin with first.
const TEMPLATES = [
  'attempt_record', 'course_record', 'membership_record', 'item_record', 'error_record', 'point_record', 'course_content',
  'student_interaction', 'teacher_interaction', 'post_record', 'activity_record', 'term_record', 'person_record',
];
const ROSTERS = new Set(['membership_record', 'term_record', 'person_record']); // kinds that need the scope roster
const MARK = '\ufeff'; // a table with it is UTF-8, whatever its mapping says

// What was sent from this tab, by job: with it the rows that were set aside can be mended here.
const sent = new Map();

/** Return what was sent as this job from this tab, if its rows can be mended as text. */
export const sentAs = job => sent.get(job);

// The course of what was sent from this tab, by job, where all rows of the file are of one.
const courseSent = new Map();

/** Return the course that all rows of a job are of, if they were sent from this tab. */
export const courseSentAs = job => courseSent.get(job);

/** Return a section in which a file is chosen, looked at and sent. `courses` are those that the reader knows. */
export function uploader(courses) {
  const inside = h('div', { 'aria-live': 'polite' });
  const input = h('input', { type: 'file', id: 'file', 'data-keep-focus': 'file', onchange: () => { if (input.files[0]) look(inside, { file: input.files[0], courses }); } });
  const zone = h('div', { class: 'drop' }, h('label', { for: 'file' }, t('imports.choose')), input, h('p', { class: 'note' }, t('imports.kinds')), templates());
  zone.addEventListener('dragover', event => { event.preventDefault(); zone.classList.add('over'); });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', event => {
    event.preventDefault();
    zone.classList.remove('over');
    const [file] = event.dataTransfer.files;
    if (file) look(inside, { file, courses });
  });
  return h('section', { class: 'upload no-print' }, h('h2', {}, t('imports.new')), zone, inside);
}

/** Return the tables that can be filled in and imported as they are: a heading and two made-up rows for each kind of record. */
function templates() {
  const link = (kind, code) => h('a', { href: `templates/${code}/${kind}.csv`, download: `${told('type', kind)}.csv`, hreflang: code, 'aria-label': `${told('type', kind)}, ${LANGUAGES[code]}`, 'data-keep-focus': `template-${kind}-${code}` }, LANGUAGES[code]);
  const lines = TEMPLATES.map(kind => h('li', {}, h('span', {}, told('type', kind)), Object.keys(LANGUAGES).map(code => link(kind, code)), ROSTERS.has(kind) && h('span', { class: 'note' }, t('templates.roster'))));
  return h('details', { class: 'templates' }, h('summary', { 'data-keep-focus': 'templates' }, t('templates.title')), h('p', { class: 'note' }, t('templates.note')), h('ul', {}, lines));
}

/** Return a section in which rows that were set aside are corrected and sent again. `raws` are the rows as they came. */
export function mender(before, raws) {
  const inside = h('div', { 'aria-live': 'polite' });
  const head = before.columns.map(each => (/["\n]|^\s|\s$/.test(each) || each.includes(before.delimiter) ? `"${each.replaceAll('"', '""')}"` : each)).join(before.delimiter ?? '');
  const rows = h('textarea', { id: 'rows', rows: Math.min(20, raws.length + 2), spellcheck: 'false' });
  rows.value = [...(head ? [head] : []), ...raws].join('\n');
  const check = h('button', { type: 'button', onclick: () => {
    const file = new File([before.format === 'csv' ? MARK : '', `${rows.value}\n`], before.name);
    look(inside, { file, mapping: before.mapping });
  } }, t('imports.check_rows'));
  return h('section', { class: 'upload no-print' }, h('h2', { tabindex: '-1' }, t('imports.mend')), h('label', { for: 'rows' }, t('imports.mend_rows')), rows, h('p', {}, check), inside);
}

/** Ask what an import of the file would do, and show it with what can be changed and the button that starts it. */
async function look(inside, { file, courses = [], mapping = null, points = null, answers = null, before = null }) {
  const noted = focusIn(inside);
  inside.replaceChildren(h('p', { class: 'waits' }, t('imports.looking', { name: file.name })));
  const whole = file.size <= PART_BYTES;
  const query = new URLSearchParams({ name: file.name.slice(-200), whole: String(whole) });
  const headers = { 'Content-Type': 'application/octet-stream' };
  if (mapping !== null) headers['Edugraph-Mapping'] = base64(mapping);
  if (points !== null) headers['Edugraph-Mapping-Points'] = base64(JSON.stringify(points));
  if (answers !== null) headers['Edugraph-Mapping-Answers'] = base64(JSON.stringify(answers));
  try {
    await learnRejects();
    const seen = await write('POST', `/v1/imports/preview?${query}`, whole ? file : file.slice(0, PART_BYTES), headers);
    // What a person was asked about the suggestion stays there while they change it.
    const asked = before ?? { open_points: seen.open_points, item_points: seen.item_points, layout: seen.layout, given: new Map(), accepted: false };
    inside.replaceChildren(...found(inside, file, { ...seen, ...asked, courses }));
  } catch (problem) {
    inside.replaceChildren(refusal(problem));
  }
  giveBack(noted, inside.querySelector('h3'));
}

function found(inside, file, seen) {
  const kind = [told('format', seen.format), seen.compression, seen.delimiter && t('imports.delimiter', { delimiter: seen.delimiter === '\t' ? 'Tab' : seen.delimiter }), seen.encoding].filter(Boolean).join(' · ');
  const mapping = seen.mapping === null ? null : h('textarea', { id: 'mapping', rows: Math.min(24, seen.mapping.split('\n').length + 1), spellcheck: 'false', 'aria-describedby': 'mapping-note' });
  if (mapping) mapping.value = seen.mapping;
  const form = seen.form === null ? null : mappingForm(seen.form, { day: dayOf(file.lastModified), courses: seen.courses, onChange: () => { asked.changed = true; settle(); } });
  const missing = form ? [] : [...(seen.mapping ?? '').matchAll(/^\s+(\w+): ["']?\?["']?\s*$/gm)].map(each => each[1]).filter(name => !seen.item_points.some(each => each.column === name));
  const analyze = h('input', { type: 'checkbox', id: 'analyze' });
  // Who has changed the text means the text, and not what the form still says.
  const answersOfForm = () => (mapping.value === seen.mapping ? form?.answers() : null);
  const again = (points, more = {}) => look(inside, { file, courses: seen.courses, mapping: mapping.value, points, answers: merged(answersOfForm(), more), before: { ...asked, given: new Map([...asked.given, ...Object.entries(points ?? {})]) } });
  const asked = { open_points: seen.open_points, item_points: seen.item_points, layout: seen.layout, given: seen.given, accepted: seen.accepted, changed: false };
  const start = h('button', { type: 'button', class: 'start' }, t('imports.start'));
  const checkFirst = h('span', { class: 'note', role: 'status' });
  const settle = () => {
    start.disabled = Boolean(seen.problem) || seen.valid === 0 || asked.changed || (isStated(asked) && !asked.accepted);
    checkFirst.textContent = asked.changed ? t('imports.check_first') : '';
  };
  settle();
  const waitsForPoints = seen.problem && seen.item_points.some(each => each.points === null && !seen.given.has(each.column));
  start.addEventListener('click', () => {
    // A text that was changed after the check may name another course than the form.
    const course = mapping?.value === seen.mapping ? seen.form?.constants.course_id : undefined;
    send(start, file, { ...seen, mapping: mapping?.value ?? null, course }, analyze.checked);
  });
  return [
    h('h3', {}, file.name), h('p', {}, kind),
    seen.layout && h('p', { class: 'layout' }, t('imports.layout', { layout: told('layout', seen.layout) })),
    mapping && h('div', { class: 'mapping' },
      form?.section,
      h('details', { class: 'as-text', open: form === null }, h('summary', {}, t('imports.as_text')),
        h('label', { for: 'mapping' }, t('imports.mapping')), mapping,
        h('p', { id: 'mapping-note', class: 'note' }, t('imports.mapping_note'))),
      seen.item_points.length > 0 && pointsOfItems(asked, settle, again),
      missing.length > 0 && h('p', { class: 'left-out', 'data-missing': missing.join(' ') }, t('imports.missing', { fields: missing.join(t('list.comma')) })),
      seen.open_points.length > 0 && h('details', {}, h('summary', {}, t('imports.open')), h('ul', {}, seen.open_points.map(each => h('li', {}, asEnglish(each))))),
      h('p', {}, h('button', { type: 'button', class: 'check', 'data-keep-focus': 'check', onclick: () => again(null) }, t('imports.check')), ' ', checkFirst)),
    waitsForPoints ? h('p', { class: 'left-out', role: 'alert' }, t('imports.points_first')) : seen.problem ? h('div', { class: 'refusal', role: 'alert' }, h('p', {}, t('imports.unusable')), h('p', {}, asEnglish(seen.problem))) : dryRun(seen, form && (more => again(null, more))),
    h('p', {}, analyze, ' ', h('label', { for: 'analyze' }, t('imports.analyze'))),
    h('p', {}, start, ' ', seen.rejected > 0 && h('span', { class: 'note' }, t('imports.start_anyway'))),
  ].filter(Boolean);
}

/** Return the answers of the form with those of a button, or null without any. */
function merged(answers, more) {
  const all = { ...answers, ...more };
  return Object.keys(all).length > 0 ? all : null;
}

const isStated = asked => asked.item_points.some(each => each.points !== null);

/**
 * Return what a person confirms about the points of items: one box for all that the file states, and a number for each
 * column whose points it does not state. `settle` is called when the box changes, `again` with the numbers.
 */
function pointsOfItems(asked, settle, again) {
  const stated = asked.item_points.filter(each => each.points !== null && each.stated_by !== 'zero_one');
  const marked = asked.item_points.filter(each => each.stated_by === 'zero_one');
  const inputs = asked.item_points.filter(each => each.points === null).map((each, place) => {
    const input = h('input', { type: 'number', id: `points-${place}`, min: '0.01', max: '1000000', step: 'any', required: true, 'data-column': each.column, 'data-keep-focus': `points-${place}` });
    input.value = asked.given.get(each.column) ?? '';
    const largest = each.largest === null ? '' : t('imports.points_largest', { n: each.largest });
    return { input, row: h('li', {}, h('label', { for: input.id }, each.column), ' ', input, ' ', h('span', { class: 'note' }, largest)) };
  });
  const accept = h('input', { type: 'checkbox', id: 'points-accepted', onchange: () => { asked.accepted = accept.checked; settle(); } });
  accept.checked = asked.accepted;
  const use = () => {
    if (inputs.every(({ input }) => input.reportValidity())) again(Object.fromEntries(inputs.map(({ input }) => [input.dataset.column, Number(input.value)])));
  };
  return h('fieldset', { class: 'points' }, h('legend', {}, t('imports.points')),
    stated.length > 0 && h('p', {}, t('imports.points_stated', { columns: stated.map(each => `${each.column}: ${each.points}`).join(t('list.comma')) })),
    marked.length > 0 && h('p', {}, t('imports.points_zero_one', { columns: marked.map(each => each.column).join(t('list.comma')) })),
    isStated(asked) && h('p', {}, accept, ' ', h('label', { for: accept.id }, t('imports.points_accept'))),
    inputs.length > 0 && [h('p', {}, t('imports.points_open')), h('ul', {}, inputs.map(each => each.row)), h('p', {}, h('button', { type: 'button', class: 'use-points', 'data-keep-focus': 'use-points', onclick: use }, t('imports.points_use')))]);
}

function dryRun(seen, replace) {
  const apart = Object.values(seen.not_relevant).reduce((sum, n) => sum + n, 0);
  return h('div', { class: 'dry-run' },
    h('p', {}, seen.complete ? plural('imports.all_read', seen.read) : plural('imports.part_read', seen.read)),
    counts({ valid: seen.valid, rejected: seen.rejected, not_relevant: apart }),
    Object.keys(seen.by_type).length > 0 && h('p', {}, Object.entries(seen.by_type).map(([type, n], place) => [place ? ' · ' : '', `${told('type', type)} `, value(n)])),
    seen.marks?.length > 0 && marks(seen.marks),
    seen.errors.length > 0 && [replace && causes(seen, replace), rejects(seen.errors)]);
}

/** Return the causes of rejects that can be mended for all rows at once: a cell, how often it stands there, what it may mean. */
function causes(seen, replace) {
  const found = new Map();
  for (const each of seen.errors) {
    const [, field] = FIELD_OF_REJECT.exec(each.field) ?? [];
    const column = seen.form.columns.find(own => each.field === own.column || each.field.startsWith(`${own.column} (`));
    if (!each.found || !field || !column) continue;
    // A word for "not handed in" counts in all columns of marks.
    const key = JSON.stringify([column.is_item ? '' : each.field, each.found]);
    const cause = found.get(key) ?? { field, isItem: column.is_item, columns: new Set(), cell: each.found, lines: new Set() };
    cause.columns.add(column.column);
    cause.lines.add(each.line);
    found.set(key, cause);
  }
  if (found.size === 0) return null;
  return h('div', { class: 'causes' }, h('h4', {}, t('imports.causes')), [...found.values()].map((each, place) => causeRow(each, place, replace)));
}

function causeRow(cause, place, replace) {
  const says = t('imports.cause', { cell: cause.cell, columns: [...cause.columns].join(t('list.comma')), lines: [...cause.lines].map(number).join(t('list.comma')) });
  if (cause.isItem) {
    return h('p', {}, says, ' ', h('button', { type: 'button', 'data-keep-focus': `cause-${place}`, onclick: () => replace({ not_tried: [cause.cell] }) }, t('imports.not_handed_in')));
  }
  const input = h('input', { type: 'text', id: `cause-${place}`, 'data-keep-focus': `cause-${place}`, required: true });
  const use = () => { if (input.reportValidity()) replace({ values: { [cause.field]: { [cause.cell]: input.value.trim() } } }); };
  return h('p', {}, says, ' ', h('label', { for: input.id }, t('imports.replace_by')), ' ', input, ' ', h('button', { type: 'button', onclick: use }, t('imports.replace_all')));
}

/** Return a table of the marks of the first students, with the outcome that the import gives them. */
function marks(rows) {
  return h('div', { class: 'marks' }, table(t('imports.marks'), [
    { name: 'student', label: t('column.student'), text: true, cell: row => row.student },
    { name: 'item', label: t('column.item'), text: true, cell: row => row.column },
    { name: 'mark', label: t('column.mark'), cell: row => row.mark },
    { name: 'points', label: t('column.points'), cell: row => value(row.points) },
    { name: 'outcome', label: t('column.outcome'), cell: row => share(row.percent / 100) },
  ], rows));
}

/** Return numbers as cards. */
export function counts(numbers) {
  return h('dl', { class: 'cards' }, Object.entries(numbers).map(([name, n]) => h('div', { class: 'card', 'data-count': name }, h('dt', {}, t(`outcome.${name}`)), h('dd', {}, value(n)))));
}

/** Return a table of records that are set aside, with the reasons. */
export function rejects(errors) {
  return table(t('imports.rejects', { n: errors.length }), [
    { name: 'line', label: t('column.line'), text: true, cell: row => (row.sheet ? `${row.sheet}: ${row.line}` : value(row.line)) },
    { name: 'field', label: t('column.field'), text: true, cell: row => row.field },
    { name: 'found', label: t('column.found'), text: true, cell: row => row.found },
    { name: 'expected', label: t('column.expected'), text: true, cell: row => inReadersWords(row.expected) },
    { name: 'reason', label: t('column.reason'), text: true, prose: true, cell: row => inReadersWords(row.reason) },
  ], errors);
}

/** Return a text as a header can have it. Texts that may name persons are in headers, since proxies log addresses. */
function base64(text) {
  let binary = '';
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

async function send(button, file, seen, analyze) {
  button.disabled = true;
  button.textContent = t('imports.sending');
  const query = new URLSearchParams({ name: file.name.slice(-200), format: seen.format, analyze });
  const headers = { 'Content-Type': CONTENT_TYPES[seen.format] ?? 'application/octet-stream' };
  if (seen.mapping !== null) headers['Edugraph-Mapping'] = base64(seen.mapping);
  if (seen.compression) headers['Content-Encoding'] = seen.compression;
  const progress = h('progress', { 'aria-label': t('imports.sending'), max: 1 });
  button.after(' ', progress);
  const onSent = part => { progress.value = part; };
  try {
    const accepted = await write('POST', `/v1/imports?${query}`, file, headers, onSent);
    // Rows of a wide table and of a workbook are set aside in a form of their own.
    const asText = seen.format === 'ndjson' || (seen.format === 'csv' && !/^items:/m.test(seen.mapping));
    if (seen.course) courseSent.set(accepted.job_id, seen.course);
    if (asText) sent.set(accepted.job_id, { name: file.name, format: seen.format, mapping: seen.mapping, columns: seen.columns, delimiter: seen.delimiter });
    if (button.isConnected) location.hash = changed({ job: accepted.job_id, cursor: '' }); // who has gone elsewhere stays there
  } catch (problem) {
    button.disabled = false;
    button.textContent = t('imports.start');
    progress.replaceWith(refusal(problem));
    button.focus();
  }
}
