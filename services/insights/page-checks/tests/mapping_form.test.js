// The form of a mapping sends what a person changed or filled in, and nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { choose } from './browser.js';

const { mappingForm } = await import('#page/mapping_form.js');

const FIELDS = ['student_id', 'item_id', 'correct', 'timestamp'];
const options = { day: '2026-05-01', courses: [{ id: 'ALG1', name: 'Algebra' }], onChange: () => {} };

// The words of the page are not loaded here, so the page says on the console that it has none.
console.error = () => {};

const column = fc.record({
  column: fc.string({ minLength: 1, maxLength: 8 }),
  field: fc.option(fc.constantFrom(...FIELDS, 'a_field_of_before')),
  is_item: fc.boolean(),
  samples: fc.array(fc.string(), { maxLength: 2 }),
});
const columns = fc.uniqueArray(column, { selector: each => each.column, maxLength: 6 });

test('a form that nobody touched answers nothing but the proposed day', () => {
  fc.assert(fc.property(columns, fc.boolean(), (given, asksDay) => {
    const constants = asksDay ? { timestamp: '?' } : { course_id: 'ALG1' };
    const { answers } = mappingForm({ columns: given, constants, fields: FIELDS, asks_day_first: true }, options);
    assert.deepEqual(answers(), asksDay ? { constants: { timestamp: '2026-05-01' } } : null);
  }));
});

test('exactly the changed columns are answered', () => {
  fc.assert(fc.property(columns, fc.infiniteStream(fc.nat(5)), (given, chosen) => {
    const form = { columns: given, constants: {}, fields: FIELDS, asks_day_first: false };
    const { section, answers } = mappingForm(form, options);
    const expected = {};
    for (const [place, each] of given.entries()) {
      const select = section.querySelector(`#field-${place}`);
      const wanted = select.options[chosen.next().value % select.options.length].value;
      choose(select, wanted);
      const before = each.is_item ? '(item)' : each.field ?? '';
      if (wanted !== before) expected[each.column] = wanted === '' ? null : wanted;
    }
    const answered = answers()?.columns ?? {};
    assert.deepEqual(Object.entries(answered).sort(), Object.entries(expected).sort());
  }));
});

test('a constant is answered where it was filled in', () => {
  const form = { columns: [], constants: { course_id: '?', unit: 'percent' }, fields: FIELDS, asks_day_first: true };
  const { section, answers } = mappingForm(form, options);
  choose(section.querySelector('#constant-course_id'), '  FRAC6 ');
  choose(section.querySelector('#day-first'), 'month');
  assert.deepEqual(answers(), { constants: { course_id: 'FRAC6' }, day_first: false });
  choose(section.querySelector('#constant-course_id'), ' ');
  choose(section.querySelector('#constant-unit'), '');
  assert.deepEqual(answers(), { day_first: false });
});
