// @ts-check
// A table as it is shown, with its search and its order, as a file for spreadsheets.

import { h, saveCsv } from './parts.js';
import { t } from './words.js';

// A spreadsheet runs a text that begins with one of these signs, also where a line or a cell inside of it begins. The
// services put an apostrophe before the sign, too (csv_cells.py).
const FORMULA = /(?:^|[;\t\r\n])[\s\x00-\x1f\u00ad\u200b-\u200f\u2060\ufeff"]*(?=[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b])/g;
const HAS_TO_BE_QUOTED = /["\r\n,]/;

/** Return a value as a cell. A text that a spreadsheet would run gets an apostrophe. A list stands in one cell. */
function cellOf(given) {
  if (given === null || given === undefined) return '';
  if (typeof given === 'number') return String(given);
  const text = Array.isArray(given) ? given.join('; ') : given;
  const harmless = text.replace(FORMULA, "$&'");
  return HAS_TO_BE_QUOTED.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** Return rows as CSV. `columns` are {label, key(row)}. */
export function csvOf(columns, rows) {
  const head = columns.map(each => cellOf(each.label));
  const lines = rows.map(row => columns.map(each => cellOf(each.key(row))));
  return [head, ...lines].map(cells => `${cells.join(',')}\r\n`).join('');
}

/** Return a button that saves these rows. */
export function saveShown(name, columns, rows) {
  const save = () => saveCsv(name, csvOf(columns, rows));
  return h('button', { type: 'button', class: 'no-print', onclick: save }, t('csv.shown'));
}
