// @ts-check
// Where do mistakes come from? Which ones come back, which travel to the next course, and what the course never teaches.

import { ask } from '../api.js';
import { saveShown } from '../csv.js';
import { bar, block, compare, h, hiddenFindings, hiddenRows, how, recordsLink, refusal, searchInput, table, value, waiting } from '../parts.js';
import { changed, link, state } from '../state.js';
import { listed, number, plural, share, t } from '../words.js';

const FIRST_VIEW = 'returning';

export function analysis({ asked, questions, courses }) {
  const title = h('h1', {}, t('analysis.title'));
  if (!questions.has('untaught-points')) return [title, refusal({ type: 'role', detail: '' })];
  const views = { returning: () => returning(asked, questions), travelling: () => travelling(asked, questions, courses), untaught: () => untaught(asked, questions) };
  const wanted = Object.hasOwn(views, state().view ?? '') ? state().view : FIRST_VIEW;
  return [
    title,
    h('div', { class: 'choices no-print', role: 'group', 'aria-label': t('analysis.views') }, Object.keys(views).map(each =>
      h('a', { class: 'choice', href: changed({ view: each === FIRST_VIEW ? '' : each, sort: '', find: '' }), 'aria-current': each === wanted ? 'true' : null, 'data-keep-focus': `view-${each}` }, t(`analysis_view.${each}`)))),
    block(t(`analysis_question.${wanted}`), views[wanted], { 'data-view': wanted }),
  ];
}

async function returning(asked, questions) {
  const answer = await ask('/returning-mistakes', asked);
  const curve = name => ({ name, label: t(`analysis.${name}`), key: row => row[name], cell: row => value(row[name], share(row[name])) });
  const columns = [
    pointColumn(questions),
    { ...shareColumn('returned', answer, questions), label: t('analysis.returned') },
    count('students_with_two_rights'), count('practised_again'),
    curve('right_first'), curve('right_second'), curve('right_third'), count('cohort'),
  ];
  const came = answer.rows.filter(row => row.returned > 0).length;
  return [
    answer.exact && answer.rows.length > 0 && h('p', { class: 'lead' }, came > 0 ? plural('analysis.came_back', came, { of: number(answer.rows.length) }) : t('analysis.none_came_back')),
    h('p', { class: 'note' }, t('analysis.curve')),
    shown('returning-mistakes', columns, answer, { '-returned': row => row.returned, name: row => row.name, '-students_with_two_rights': row => row.students_with_two_rights }),
    how('returning-mistakes', answer, { folds: true }),
  ];
}

async function travelling(asked, questions, courses) {
  const others = courses.filter(each => each.id !== asked.course);
  if (others.length === 0) return h('p', { class: 'none' }, t('analysis.no_other_course'));
  const wanted = others.some(each => each.id === state().next) ? state().next : others[0].id;
  const pick = h('form', { class: 'filters no-print', 'aria-label': t('analysis.next_course'), onsubmit: event => event.preventDefault() },
    h('label', {}, `${t('analysis.next_course')} `, h('select', { name: 'next', 'data-keep-focus': 'next', onchange: event => { location.hash = changed({ next: event.target.value }); } },
      others.map(each => h('option', { value: each.id, selected: each.id === wanted }, each.name)))));
  let found;
  try {
    found = await travelled(asked, questions, wanted);
  } catch (problem) {
    found = refusal(problem); // another course can be chosen all the same
  }
  return [pick, found];
}

async function travelled(asked, questions, wanted) {
  const answer = await ask('/travelling-weaknesses', { ...asked, next_course: wanted });
  const columns = [
    pointColumn(questions),
    { ...shareColumn('wrong_after_wrong', answer, questions), label: t('analysis.wrong_after_wrong') }, count('students_wrong'),
    { name: 'wrong_after_right', label: t('analysis.wrong_after_right'), key: row => row.wrong_after_right, cell: row => bar(row.wrong_after_right, null, null, row.noise) }, count('students_right'),
    { name: 'difference', label: t('analysis.difference'), key: row => row.difference, cell: row => value(row.difference, points(row.difference)) },
  ];
  return [
    h('p', { class: 'note' }, t('analysis.no_cause')),
    shown('travelling-weaknesses', columns, answer, { '-difference': row => row.difference, name: row => row.name, '-students_wrong': row => row.students_wrong }),
    how('travelling-weaknesses', answer, { folds: true }),
  ];
}

async function untaught(asked, questions) {
  const answer = await ask('/untaught-points', asked);
  const mayOpen = answer.exact && questions.has('records');
  const columns = [
    pointColumn(questions),
    { name: 'mistakes', label: t('column.mistakes'), key: row => row.mistakes, cell: row => value(row.mistakes, number(row.mistakes), mayOpen ? recordsLink(row.evidence) : null, row.name) },
    count('students'),
    { name: 'needed_for', label: t('analysis.needed_for'), text: true, prose: true, key: row => row.needed_for, cell: row => (row.needed_for.length > 0 ? listed(row.needed_for).join('') : t('analysis.itself')) },
  ];
  return [
    waiting(answer),
    hiddenFindings(answer),
    shown('untaught-points', columns, answer, { '-mistakes': row => row.mistakes, name: row => row.name, '-students': row => row.students }),
    how('untaught-points', answer, { folds: true }),
  ];
}

/** Return a difference of two shares in points of 100, or a dash. */
const points = exact => (exact === null ? '–' : number(Math.round(100 * exact)));

function pointColumn(questions) {
  const page = questions.has('point') ? 'point' : 'map';
  return { name: 'name', label: t('column.point'), text: true, key: row => row.name, cell: row => h('a', { href: link(page, { point: row.point }) }, row.name) };
}

const count = name => ({ name, label: t(`analysis.${name}`), key: row => row[name], cell: row => value(row[name]) });

function shareColumn(name, answer, questions) {
  const behind = row => (answer.exact && questions.has('records') ? recordsLink(row.evidence) : null);
  return { name, key: row => row[name], cell: row => bar(row[name], behind(row), row.name, row.noise) };
}

/** Return the rows of an answer with a search, a choice of the order, and a button that saves what is shown. */
function shown(question, columns, answer, keys) {
  const orders = Object.keys(keys);
  const wanted = orders.includes(state().sort) ? state().sort : orders[0];
  const sought = (state().find ?? '').trim().toLowerCase();
  const rows = answer.rows.filter(row => row.name.toLowerCase().includes(sought));
  rows.sort((a, b) => compare(keys[wanted](a), keys[wanted](b), wanted.startsWith('-')) || compare(a.name, b.name));
  return [
    h('p', { class: 'search no-print' }, h('label', {}, `${t('analysis.find')} `, searchInput()), ' ', saveShown(question, columns, rows)),
    h('div', { class: 'choices no-print', role: 'group', 'aria-label': t('analysis.order') }, orders.map(each =>
      h('a', { class: 'choice', href: changed({ sort: each === orders[0] ? '' : each }), 'aria-current': each === wanted ? 'true' : null, 'data-keep-focus': `order-${each}` }, columns.find(column => column.name === each.replace('-', '')).label))),
    table(t('analysis.caption', { n: number(rows.length), of: number(answer.rows.length) }), columns, rows, { none: t(answer.rows.length > 0 ? 'table.none' : 'analysis.none'), hidden: hiddenRows(answer) }),
  ];
}
