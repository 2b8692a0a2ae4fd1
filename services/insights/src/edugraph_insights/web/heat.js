// @ts-check
// The table of students and points: who got what right, as tiles. One tab stop leads into it, and arrows lead on.

import { onPaperInstead } from './paper.js';
import { h, recordsLink } from './parts.js';
import { changed, link, state } from './state.js';
import { number, plural, sorter, t } from './words.js';

const FIRST_STUDENTS = 12;
const MOST_STUDENTS = 300;
const FIRST_POINTS = 8;
const POINTS_ON_PAPER = 12;
const ENOUGH_ANSWERS = 3; // fewer make a small tile
const LEVELS = ['none', 'less', 'more', 'all'];
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const isWrong = cell => cell.share !== null && cell.share < 0.5;

/** Return the level of a cell by its first attempts, or null without one. */
export function levelOf(cell) {
  if (cell.share === null) return null;
  if (isWrong(cell)) return cell.right === 0 ? 'none' : 'less';
  return cell.right === cell.first_attempts ? 'all' : 'more';
}

/** Return the table for rows of `grid`. */
export function heatMap(rows) {
  const students = new Map(); // student -> {student, name, cells by point, number wrong, first attempts, right}
  const points = new Map(); // point -> {point, name, number of students who tried it, number wrong}
  for (const row of rows) {
    const who = row.student_name ?? row.student;
    const student = students.get(row.student) ?? { student: row.student, name: who, cells: new Map(), wrong: 0, first: 0, right: 0 };
    const point = points.get(row.point) ?? { point: row.point, name: row.name, tried: 0, wrong: 0 };
    student.cells.set(row.point, row);
    student.wrong += Number(isWrong(row));
    student.first += row.first_attempts;
    student.right += row.right;
    point.tried += Number(row.share !== null);
    point.wrong += Number(isWrong(row));
    students.set(row.student, student);
    points.set(row.point, point);
  }
  const byName = (a, b) => sorter().compare(a.name, b.name);
  const rightShare = each => (each.first > 0 ? each.right / each.first : 1);
  const byNeed = (a, b) => b.wrong - a.wrong || rightShare(a) - rightShare(b) || byName(a, b);
  const { order = 'need', rows: shown, points: wanted } = state();
  const people = [...students.values()].sort(order === 'name' ? byName : byNeed);
  const needed = [...points.values()].sort((a, b) => b.wrong - a.wrong || b.tried - a.tried || byName(a, b));
  const firstPeople = people.slice(0, shown === 'all' ? MOST_STUDENTS : FIRST_STUDENTS);
  const firstPoints = wanted === 'all' ? needed : needed.slice(0, FIRST_POINTS);
  const more = people.length - firstPeople.length;
  const morePoints = needed.length - firstPoints.length;
  const whole = drawn(firstPeople, firstPoints);
  onPaperInstead(whole, () => ofAll(people, firstPoints, needed.length));
  return [
    h('div', { class: 'choices no-print', role: 'group', 'aria-label': t('heat.order') }, ['need', 'name'].map(each =>
      h('a', { class: 'choice', href: changed({ order: each === 'need' ? '' : each }), 'aria-current': each === order ? 'true' : null, 'data-keep-focus': `order-${each}` }, t(`heat_order.${each}`)))),
    legend(),
    whole,
    h('p', { class: 'note no-print' }, t('heat.keys')),
    (more > 0 || morePoints > 0) && h('p', { class: 'note no-print' },
      more > 0 && shown !== 'all' && [h('a', { href: changed({ rows: 'all' }), 'data-keep-focus': 'all-students' }, plural('heat.all_students', Math.min(people.length, MOST_STUDENTS))), ' '],
      more > 0 && shown === 'all' && [plural('table.rest', more), ' '],
      morePoints > 0 && h('a', { href: changed({ points: 'all' }), 'data-keep-focus': 'all-points' }, plural('heat.more_points', morePoints))),
  ];
}

/** Return the table for paper, where nobody can open the rest: all students, the first points, and how many are not there. */
function ofAll(people, points, allPoints) {
  const shownPeople = people.slice(0, MOST_STUDENTS);
  const shownPoints = points.slice(0, POINTS_ON_PAPER);
  const more = people.length - shownPeople.length;
  const morePoints = allPoints - shownPoints.length;
  return h('div', {}, drawn(shownPeople, shownPoints),
    more > 0 && h('p', { class: 'note' }, plural('table.rest', more)),
    morePoints > 0 && h('p', { class: 'note' }, plural('heat.more_points', morePoints)));
}

function legend() {
  const digits = { none: '0/3', less: '1/3', more: '2/3', all: '3/3' };
  return h('p', { class: 'legend' }, `${t('heat.legend')} `,
    LEVELS.map(level => h('span', {}, h('i', { class: `tile ${level}`, 'aria-hidden': 'true' }, digits[level]), t(`heat_level.${level}`))),
    h('span', {}, h('i', { class: 'tile none few', 'aria-hidden': 'true' }), t('heat.few')));
}

function drawn(people, points) {
  const heads = points.map(each => h('th', { scope: 'col', class: 'point' }, h('a', { href: link('point', { point: each.point }), tabindex: -1 }, each.name)));
  const sums = points.map(each => h('td', { 'data-point': each.point }, h('a', { href: link('point', { point: each.point }), tabindex: -1, 'aria-label': plural('heat.sum', each.wrong, { point: each.name, of: number(each.tried) }) },
    h('data', { value: each.wrong, class: 'strong' }, number(each.wrong)), h('span', { class: 'of' }, `/${number(each.tried)}`))));
  const table = h('table', { class: 'heat', role: 'grid', onkeydown: event => move(event, table) },
    h('caption', {}, t('heat.caption', { n: people.length, points: points.length })),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('column.student')), heads)),
    h('tbody', {}, h('tr', { class: 'sum' }, h('th', { scope: 'row' }, t('heat.wrong')), sums),
      people.map(each => h('tr', { 'data-row': each.student },
        h('th', { scope: 'row' }, h('a', { href: link('student', { student: each.student }), tabindex: -1 }, each.name)),
        points.map(point => tile(each, point))))));
  table.querySelector('a')?.setAttribute('tabindex', '0');
  return h('div', { class: 'scrolls' }, table);
}

function tile(student, point) {
  const cell = student.cells.get(point.point);
  const level = cell && levelOf(cell);
  if (!level) return h('td', { class: 'empty' }, h('span', { 'aria-hidden': 'true' }, '·'), h('span', { class: 'unseen' }, t('heat.not_tried')));
  const few = cell.first_attempts < ENOUGH_ANSWERS ? 'few' : '';
  const label = t('heat.cell', { who: student.name, point: point.name, right: cell.right, n: cell.first_attempts });
  return h('td', {}, h('a', { class: `tile ${level} ${few}`, href: recordsLink(cell.evidence), tabindex: -1, 'aria-label': label }, `${number(cell.right)}/${number(cell.first_attempts)}`));
}

/** Move to the next cell with a link in the direction of an arrow. */
function move(event, table) {
  const step = ARROWS[event.key];
  const cell = event.target.closest('th, td');
  if (!step || !cell) return;
  event.preventDefault();
  let row = cell.parentElement.rowIndex;
  let column = cell.cellIndex;
  for (;;) {
    row += step[0];
    column += step[1];
    const next = table.rows[row]?.cells[column];
    if (!next) return;
    const target = next.querySelector('a');
    if (!target) continue;
    for (const each of table.querySelectorAll('a[tabindex="0"]')) each.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
    return;
  }
}
