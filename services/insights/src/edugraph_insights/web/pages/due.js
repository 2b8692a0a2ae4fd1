// @ts-check
// What is due for repetition? One sentence, and who should repeat which point. Each name opens the tries that it counts.

import { ask } from '../api.js';
import { copyNames, folded, h, how, recordsLink } from '../parts.js';
import { link } from '../state.js';
import { listed, plural, t } from '../words.js';

const MOST_POINTS = 3;

const nameOf = row => row.student_name ?? row.student;

/** Return how many students should repeat something, and the points that most of them should repeat. */
export async function dueInClass(asked) {
  const answer = await ask('/due', asked);
  const students = new Set(answer.rows.map(row => row.student));
  const points = [...byPoint(answer.rows)].sort(([, a], [, b]) => b.length - a.length);
  return [
    h('p', { class: students.size > 0 ? null : 'none' }, inWords(answer, students.size)),
    points.slice(0, MOST_POINTS).map(([point, rows]) => h('div', { class: 'idea', 'data-due': point },
      h('h3', {}, h('a', { href: link('point', { point }) }, rows[0].name)),
      who(rows))),
    points.length > MOST_POINTS && h('p', { class: 'note' }, plural('due.more_points', points.length - MOST_POINTS)),
    how('due', answer, { folds: true }),
  ];
}

/** Return who should repeat one point. */
export async function dueAtPoint(asked, point) {
  const answer = await ask('/due', asked);
  const rows = answer.rows.filter(row => row.point === point);
  return [
    rows.length > 0 ? [h('p', {}, plural('due.at_point', rows.length)), who(rows), copyNames(rows.map(nameOf))] : h('p', { class: 'none' }, t('due.nobody')),
    how('due', answer, { folds: true }),
  ];
}

/** Return the points that the one student of these parameters should repeat. */
export async function dueOfOne(asked) {
  const answer = await ask('/due', asked);
  return [
    answer.rows.length === 0 && h('p', { class: 'none' }, inWords(answer, 0)),
    h('ul', { class: 'lines' }, answer.rows.map(row => h('li', { 'data-due': row.point },
      h('a', { href: recordsLink(row.evidence) }, row.name), h('span', { class: 'note' }, overdue(row))))),
    how('due', answer, { folds: true }),
  ];
}

/** Say that nothing is due, or that nothing is known from which that could follow. */
function inWords(answer, students) {
  if (students > 0) return plural('due.students', students);
  return t(answer.of_how_many['points of students'] > 0 ? 'due.nothing' : 'due.unknown');
}

function byPoint(rows) {
  const points = new Map(); // point -> its rows
  for (const row of rows) points.set(row.point, [...(points.get(row.point) ?? []), row]);
  return points;
}

const overdue = row => (row.days_overdue === 0 ? t('due.today') : plural('due.days', row.days_overdue));

function who(rows) {
  const names = rows.map(row => h('a', { href: recordsLink(row.evidence), title: overdue(row) }, nameOf(row)));
  return folded(h('data', { value: rows.length }, plural('due.persons', rows.length)), h('p', { class: 'people' }, listed(names)));
}
