// Files for spreadsheets: each value comes back, and no cell is run as a formula.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import './browser.js';

const { csvOf } = await import('#page/csv.js');

const SIGNS = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
const UNSEEN = [' ', '\t', '\u0000', '\u00ad', '\u200b', '\u200f', '\u2060', '\ufeff'];
const text = fc.string({ unit: fc.constantFrom(...SIGNS, ...UNSEEN, '"', ';', ',', '\r', '\n', 'a', '1', "'", '二') });
const cell = fc.oneof(text, fc.array(text, { maxLength: 3 }), fc.double({ noNaN: true }), fc.constant(null));

/** Return the rows of a CSV text (RFC 4180). */
function rowsIn(csv) {
  const rows = [];
  let row = [];
  let value = '';
  let isQuoted = false;
  for (let at = 0; at < csv.length; at += 1) {
    const sign = csv[at];
    if (isQuoted) {
      if (sign !== '"') value += sign;
      else if (csv[at + 1] === '"') {
        value += '"';
        at += 1;
      }
      else isQuoted = false;
    }
    else if (sign === '"' && value === '') isQuoted = true;
    else if (sign === ',') {
      row.push(value);
      value = '';
    }
    else if (sign === '\r' || sign === '\n') {
      rows.push([...row, value]);
      row = [];
      value = '';
      if (sign === '\r' && csv[at + 1] === '\n') at += 1;
    }
    else value += sign;
  }
  return rows;
}

/** Return whether a spreadsheet may run a text, or a part of the text that it makes a cell of. */
function mayBeRun(read) {
  for (const part of read.split(/[;\t\r\n]/)) {
    let rest = part;
    while (rest !== '' && (UNSEEN.includes(rest[0]) || rest[0] === '"' || rest[0].trim() === '')) rest = rest.slice(1);
    if (SIGNS.includes(rest[0])) return true;
  }
  return false;
}

function asText(given) {
  if (given === null) return '';
  return Array.isArray(given) ? given.join('; ') : String(given);
}

test('each value comes back with nothing but apostrophes added', () => {
  fc.assert(fc.property(fc.array(fc.tuple(cell, cell), { maxLength: 5 }), rows => {
    const columns = [{ label: 'first', key: row => row[0] }, { label: 'second', key: row => row[1] }];
    const [head, ...read] = rowsIn(csvOf(columns, rows));
    assert.deepEqual(head, ['first', 'second']);
    assert.equal(read.length, rows.length);
    for (const [place, row] of rows.entries()) {
      const withoutAdded = read[place].map(each => each.replaceAll("'", ''));
      assert.deepEqual(withoutAdded, row.map(each => asText(each).replaceAll("'", '')));
    }
  }));
});

test('no text is run as a formula, and numbers stay numbers', () => {
  fc.assert(fc.property(fc.oneof(text, fc.array(text, { maxLength: 3 })), given => {
    const [[read]] = rowsIn(csvOf([{ label: given, key: () => '' }], []));
    assert.equal(mayBeRun(read), false, JSON.stringify(read));
  }), { numRuns: 2000 });
  assert.equal(csvOf([{ label: 'n', key: row => row }], [-1.5]), 'n\r\n-1.5\r\n');
});
