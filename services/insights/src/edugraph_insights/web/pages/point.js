// @ts-check
// One point: who got it wrong, with which idea and in which words, whom to take together, and what comes first.

import { ask } from '../api.js';
import { levelOf } from '../heat.js';
import { around, block, columns, copyNames, folded, h, hiddenFindings, how, peopleLinks, recordsLink, table, value, waiting } from '../parts.js';
import { link, state } from '../state.js';
import { day, number, plural, share, t, told } from '../words.js';
import { dueAtPoint } from './due.js';
import { helped } from './helped.js';
import { spread } from './spread.js';

const named = row => ({ student: row.student, name: row.student_name ?? row.student });

export function point({ asked, questions }) {
  const { point: id } = state();
  if (!id) return [h('h1', {}, t('point.none')), h('p', {}, h('a', { href: link('map') }, t('nav.map')))];
  const title = h('h1', {}, id);
  const students = () => ask('/point', { ...asked, point: id });
  const needs = () => ask('/course-map', asked);
  title.done = needs().then(answer => { title.textContent = nameIn(answer.rows, id); }, () => {});
  return [
    title,
    h('p', { class: 'no-print' }, h('a', { href: link('map', { point: id }) }, t('point.map'))),
    columns([
      block(t('point.wrong'), () => wrong(students), { 'data-question': 'point' }),
      questions.has('spread') && block(t('spread.title'), () => spread(asked, id, students), { 'data-question': 'spread' }),
      questions.has('together') && block(t('point.together'), () => together(asked, id, needs), { 'data-question': 'together' }),
      questions.has('did-it-help') && block(t('helped.title'), () => helped(asked), { 'data-question': 'did-it-help' }),
      block(t('point.all'), () => everybody(students), { 'data-part': 'all' }),
    ], [
      questions.has('grid') && questions.has('course-map') && block(t('point.first'), () => first(asked, id, students, needs), { 'data-question': 'course-map' }),
      questions.has('due') && block(t('due.title'), () => dueAtPoint(asked, id), { 'data-question': 'due' }),
      block(t('point.right'), () => others(students, 'right'), { 'data-part': 'right' }),
      block(t('point.not_tried'), () => others(students, 'not tried'), { 'data-part': 'not-tried' }),
      questions.has('ready') && block(t('point.ready'), () => ready(asked, id), { 'data-question': 'ready' }),
    ]),
  ];
}

/** Return the name of a point among the rows of the course map, or its id. */
function nameIn(rows, id) {
  const own = rows.find(row => row.point === id);
  if (own) return own.name;
  return rows.find(row => row.needs === id)?.needs_name || id;
}

async function wrong(students) {
  const answer = await students();
  const missed = answer.rows.filter(row => row.state === 'wrong');
  const tried = answer.rows.filter(row => row.state !== 'not tried').length;
  const ideas = new Map(); // what went wrong most often in a student's mistakes, or else their most frequent type -> rows
  for (const row of missed) {
    const [idea = ''] = [...row.what_went_wrong, ...row.kinds];
    ideas.set(idea, [...(ideas.get(idea) ?? []), row]);
  }
  const inOrder = [...ideas].sort(([a, rowsA], [b, rowsB]) => Number(a === '') - Number(b === '') || rowsB.length - rowsA.length);
  return [
    h('p', { class: 'lead' }, missed.length > 0 ? plural('today.wrong', missed.length, { of: number(tried) }) : t(tried > 0 ? 'point.nobody' : 'point.untried')),
    missed.length > 0 && copyNames(missed.map(row => named(row).name)),
    inOrder.map(([idea, rows]) => one(idea, rows, missed.length)),
    groups(answer),
    hiddenFindings(answer),
    how('point', answer, { folds: true }),
  ];
}

/** Return what went wrong in the mistakes of all students at this point, with the records of each group. */
function groups(answer) {
  const found = new Map(); // id -> {id, name, students, mistakes, evidence}
  for (const row of answer.rows) {
    row.misconceptions.forEach((id, place) => {
      const group = found.get(id) ?? { id, name: row.what_went_wrong[place], students: 0, mistakes: 0, evidence: row.evidence };
      group.students += 1;
      group.mistakes += row.misconception_mistakes[place];
      found.set(id, group);
    });
  }
  if (found.size === 0) return null;
  const rows = [...found.values()].sort((a, b) => b.students - a.students || b.mistakes - a.mistakes);
  const behind = group => recordsLink(group.evidence, { student: '', misconception: group.id });
  return h('div', { 'data-part': 'groups' }, folded(plural('point.groups', rows.length), table(t('point.groups_caption'), [
    { name: 'what_went_wrong', label: t('column.what_went_wrong'), text: true, cell: row => row.name },
    { name: 'students', label: t('column.students'), cell: row => value(row.students, number(row.students), behind(row), row.name) },
    { name: 'mistakes', label: t('column.mistakes'), cell: row => value(row.mistakes, number(row.mistakes), behind(row), row.name) },
  ], rows)));
}

/** Return an idea behind mistakes, with the latest words of one student, and who has it. */
function one(idea, rows, all) {
  const quoted = rows.find(row => row.quote);
  return h('div', { class: 'idea' },
    h('h3', {}, idea || t('point.no_idea'), ' ', h('span', { class: 'of' }, h('data', { value: rows.length }, number(rows.length)), t('missing.of', { n: number(all) }))),
    !idea && h('p', { class: 'note' }, t('point.why_no_idea')),
    quoted && h('blockquote', {}, h('q', {}, quoted.quote), ' ', h('a', { class: 'note', href: recordsLink(quoted.evidence) }, named(quoted).name)),
    h('p', {}, peopleLinks(rows.map(named))));
}

async function others(students, wanted) {
  const answer = await students();
  const rows = answer.rows.filter(row => row.state === wanted);
  return [
    h('p', { class: 'of' }, h('data', { value: rows.length }, number(rows.length)), t('missing.of', { n: number(answer.rows.length) })),
    rows.length > 0 && h('p', {}, peopleLinks(rows.map(named))),
  ];
}

async function everybody(students) {
  const answer = await students();
  const rows = answer.rows.filter(row => row.state !== 'not tried');
  return folded(plural('point.table', rows.length), table(t('point.caption', { n: rows.length }), [
    { name: 'name', label: t('column.student'), text: true, cell: row => h('a', { href: link('student', { student: row.student }) }, named(row).name) },
    { name: 'level', label: t('column.state'), text: true, cell: row => t(`heat_level.${levelOf(row) ?? 'none'}`) },
    { name: 'right', label: t('column.right_number'), cell: row => value(row.right, number(row.right), recordsLink(row.evidence), named(row).name) },
    { name: 'first_attempts', label: t('column.first_attempts'), cell: row => value(row.first_attempts, number(row.first_attempts), recordsLink(row.evidence), named(row).name) },
    { name: 'mistakes', label: t('column.mistakes'), cell: row => value(row.mistakes, number(row.mistakes), recordsLink(row.evidence), named(row).name) },
    { name: 'outcome', label: t('point.last'), cell: row => value(row.last_outcome, share(row.last_outcome), recordsLink(row.evidence), named(row).name) },
    { name: 'last', label: t('column.last'), cell: row => h('time', {}, day(row.last)) },
  ], rows));
}

/** Show groups with the same weakest prerequisite of this point, or with this point as their weakest. */
async function together(asked, id, needs) {
  const [answer, course] = await Promise.all([ask('/together', asked), needs()]);
  const before = new Set(course.rows.filter(row => row.point === id && row.state !== 'proposed').map(row => row.needs));
  const groups = answer.rows.filter(row => row.point === id || before.has(row.point));
  return [
    groups.length === 0 && h('p', { class: 'none' }, t('point.no_group')),
    groups.map(row => h('div', { class: 'idea' },
      h('h3', {}, h('a', { href: link('point', { point: row.point }) }, row.name), ' ', h('span', { class: 'of' }, plural('point.students', row.students.length))),
      h('p', {}, peopleLinks(row.students.map((student, place) => ({ student, name: row.student_names[place] })))),
      copyNames(row.student_names))),
    how('together', answer, { folds: true }),
  ];
}

/** Show the direct prerequisites, and how many of those who got this point wrong got each of them wrong, too. */
async function first(asked, id, students, needs) {
  const [answer, course, grid] = await Promise.all([students(), needs(), ask('/grid', asked)]);
  const missed = new Set(answer.rows.filter(row => row.state === 'wrong').map(row => row.student));
  const before = new Map(course.rows.filter(row => row.point === id && row.needs && row.state !== 'proposed').map(row => [row.needs, row]));
  const rows = [...before.values()].map(row => {
    const cells = grid.rows.filter(cell => cell.point === row.needs && missed.has(cell.student));
    return { ...row, too: cells.filter(cell => ['none', 'less'].includes(levelOf(cell))).length };
  });
  rows.sort((a, b) => b.too - a.too);
  const proposed = course.rows.filter(row => row.point === id && row.state === 'proposed');
  return [
    rows.length === 0 && h('p', { class: 'none' }, t('point.nothing_first')),
    proposed.length > 0 && h('p', { class: 'note' }, t('point.proposed', { names: proposed.map(row => row.needs_name || row.needs).join(t('list.comma')) })),
    h('ul', { class: 'lines' }, rows.map(row => h('li', { 'data-needs': row.needs },
      h('a', { href: link('point', { point: row.needs }) }, row.needs_name || row.needs),
      missed.size > 0 && h('span', { class: 'note' }, around('point.too', { of: number(missed.size) }, h('data', { value: row.too }, number(row.too))))))),
    rows.length > 0 && missed.size > 0 && h('p', { class: 'note' }, t('point.no_cause')),
    how('course-map', course, { folds: true }),
  ];
}

async function ready(asked, id) {
  const answer = await ask('/ready', { ...asked, point: id });
  const of = wanted => answer.rows.filter(row => row.state === wanted);
  const states = [...new Set(answer.rows.map(row => row.state))];
  return [
    answer.rows.length === 0 && h('p', { class: 'none' }, t('point.nothing_first')),
    waiting(answer),
    states.map(each => folded([told('ready', each), ' ', h('span', { class: 'of' }, h('data', { value: of(each).length }, number(of(each).length)), t('missing.of', { n: number(answer.rows.length) }))],
      h('p', {}, peopleLinks(of(each).map(named))))),
    how('ready', answer, { folds: true }),
  ];
}
