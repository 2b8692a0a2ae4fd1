// @ts-check
// Which items of the course a student should practise: one list for each point, the weakest point first.

import { ask } from '../api.js';
import { folded, h, how, recordsLink } from '../parts.js';
import { link } from '../state.js';
import { plural, t } from '../words.js';

const MOST_POINTS = 3; // the others are folded

/** Return the items for the one student of these parameters. */
export async function toPractise(asked) {
  const answer = await ask('/practice', asked);
  const points = new Map(); // point -> its rows
  for (const row of answer.rows) points.set(row.point, [...(points.get(row.point) ?? []), row]);
  const lists = [...points].map(([point, rows]) => h('div', { class: 'idea', 'data-practice': point },
    h('h3', {}, h('a', { href: link('point', { point }) }, rows[0].point_name)),
    h('ul', { class: 'lines' }, rows.map(item))));
  const others = lists.slice(MOST_POINTS);
  return [
    answer.rows.length === 0 && h('p', { class: 'none' }, t('practice.nothing')),
    lists.slice(0, MOST_POINTS),
    others.length > 0 && folded(plural('practice.more', others.length), ...others),
    how('practice', answer, { folds: true }),
  ];
}

function item(row) {
  const words = row.last_tried === null ? t('practice.new') : t('practice.wrong');
  const name = row.evidence ? h('a', { href: recordsLink(row.evidence) }, row.item_name) : row.item_name;
  return h('li', { 'data-item': row.item }, name, h('span', { class: 'note' }, words));
}
