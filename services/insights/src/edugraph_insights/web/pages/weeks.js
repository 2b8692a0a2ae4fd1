// @ts-check
// The weeks of a course as a table. It stands apart from the overview, so that a page with the table loads no charts.

import { bar, h, hiddenRows, table, value } from '../parts.js';
import { link } from '../state.js';
import { weekOf } from '../times.js';
import { dayInWords, number, t } from '../words.js';

/** Return the weeks of an answer to `trend` as a table. */
export function trendTable(answer, questions) {
  const { rows } = answer;
  const behind = row => (answer.exact && questions.has('records') ? link('records', weekOf(row.week)) : null);
  const count = name => ({ name, label: t(`trend.${name}`), cell: row => value(row[name], number(row[name]), behind(row), dayInWords(row.week)) });
  return table(t('trend.caption', { n: rows.length }), [
    { name: 'week', label: t('trend.week'), text: true, cell: row => h('time', {}, dayInWords(row.week)) },
    count('first_attempts'), count('students'),
    { name: 'right', label: t('column.right'), cell: row => bar(row.right, behind(row), dayInWords(row.week), row.noise) },
    count('mistakes'), count('unresolved'),
  ], rows, { none: t('trend.none'), hidden: hiddenRows(answer) });
}
