// @ts-check
// Did it help to speak with students? Those with a contact beside comparable students, before it and afterwards.

import { ask } from '../api.js';
import { h, how, table, value } from '../parts.js';
import { number, plural, sentences, share, t } from '../words.js';

export async function helped(asked) {
  const answer = await ask('/did-it-help', asked);
  const [row] = answer.rows;
  return [
    h('p', {}, row ? inWords(row) : t('helped.no_contact')),
    row && row.difference !== null && beforeAndAfter(row),
    row && h('p', { class: 'note' }, t('helped.note')),
    how('did-it-help', answer, { folds: true }),
  ];
}

/** Say in sentences what is known. A difference that may as well be none is not called one. */
function inWords(row) {
  const who = [plural('helped.with', row.students), plural('helped.beside', row.comparable_students)];
  if (row.state === 'too few') return sentences([t('helped.too_few'), ...who]);
  if (row.state === 'all had contact') return sentences([t('helped.all_had_contact'), ...who]);
  if (row.state === 'cannot tell') return t('helped.cannot_tell', { least: points(row.low), most: points(row.high) });
  if (row.state === 'less right') return t('helped.less', { n: points(-row.difference), least: points(-row.high), most: points(-row.low) });
  if (row.state !== 'more right') throw new Error(`the state ${row.state} has no words`);
  return t('helped.more', { n: points(row.difference), least: points(row.low), most: points(row.high) });
}

/** Return a difference of two shares in points of 100. */
const points = exact => number(Math.round(100 * exact));

function beforeAndAfter(row) {
  const rows = [
    { kind: 'contact', name: t('helped.contact'), students: row.students, before: row.right_before, after: row.right_after },
    { kind: 'comparable', name: t('helped.comparable'), students: row.comparable_students, before: row.comparable_before, after: row.comparable_after },
  ];
  const figure = name => ({ name, label: t(`helped_column.${name}`), cell: each => value(each[name], share(each[name])) });
  return table(t('helped.caption'), [
    { name: 'name', label: t('helped.who'), text: true, cell: each => each.name },
    figure('before'), figure('after'),
    { name: 'students', label: t('column.students'), cell: each => value(each.students) },
  ], rows);
}
