// @ts-check
// What is to be done today? A teacher's first page: at most three actions, the class at a glance, and what is missing.

import { actionForm, mayAct } from '../acting.js';
import { ask } from '../api.js';
import { wordsForm } from '../asking.js';
import { draftForm, mayDraft } from '../drafting.js';
import { heatMap } from '../heat.js';
import { around, block, columns, copyNames, folded, h, hiddenFindings, how, peopleLinks, recordsLink, value } from '../parts.js';
import { courseInactive, whyOf } from '../reasons.js';
import { sparkLine } from '../drawings.js';
import { link, state } from '../state.js';
import { weeklyMail } from '../weekly.js';
import { dayInWords, dayOf, listed, number, plural, share, space, t } from '../words.js';
import { dueInClass } from './due.js';
import { trendTable } from './weeks.js';

const MOST_TASKS = 3;
const WEEKS = 12;
const OLD_SCHOOL_DAYS = 5; // from this many on, it is said that the last record is old

export function today({ asked, questions, person, drafts }) {
  return [
    h('h1', {}, t('today.title')),
    wordsForm(),
    columns([
      block(t('today.actions'), () => actions(asked, questions, mayAct({ questions, person })), { 'data-question': 'today' }),
      questions.has('grid') && block(t('today.grid'), () => grid(asked), { 'data-question': 'grid' }),
    ], [
      questions.has('handed-in') && block(t('today.missing'), () => missing(asked), { 'data-question': 'handed-in' }),
      questions.has('due') && block(t('due.title'), () => dueInClass(asked), { 'data-question': 'due' }),
      questions.has('trend') && block(t('today.trend'), () => trend(asked, questions), { 'data-question': 'trend' }),
      questions.has('changes') && block(t('today.changes'), () => changes(asked), { 'data-question': 'changes' }),
      mayDraft({ questions, person, drafts }) && draftForm(),
      mayAct({ questions, person }) && weeklyMail(),
    ]),
  ];
}

async function actions(asked, questions, mayWrite) {
  // The two others only add figures to the sentences, so that today is shown without them, too.
  const [answer, help, care] = await Promise.all([
    ask('/today', asked),
    questions.has('needs-help') ? ask('/needs-help', asked).catch(() => null) : null,
    questions.has('attention') ? ask('/attention', asked).catch(() => null) : null,
  ]);
  const helped = new Map((help?.rows ?? []).map(row => [row.student, row]));
  const cared = new Map((care?.rows ?? []).map(row => [row.student, row]));
  const shown = { repeat, speak: row => speak(row, helped, cared, mayWrite), answer: waiting };
  const old = answer.of_how_many['school days since the last record'];
  const putOff = answer.left_out['students who need help and are put off until a later day'] ?? 0;
  const { since } = during(answer.rows[0]);
  return [
    old >= OLD_SCHOOL_DAYS && h('p', { class: 'note' }, plural('today.old', old), space(), questions.has('imports') && h('a', { href: link('imports') }, t('today.import'))),
    since && h('p', { class: 'note' }, t('today.since', { day: dayInWords(since) })),
    courseInactive(help),
    hiddenFindings(answer),
    putOff > 0 && h('p', { class: 'note' }, plural('today.put_off', putOff)),
    answer.rows.length > 0 ? h('ol', { class: 'actions' }, answer.rows.map(row => h('li', { 'data-action': row.kind }, shown[row.kind](row)))) : nothing(answer),
    how('today', answer, { folds: true }),
  ];
}

/** Say that there is nothing to do, or that nothing is known from which that could follow. */
function nothing(answer) {
  const isKnown = answer.of_how_many['students with attempts'] > 0;
  return h('p', { class: 'none' }, t(isKnown ? 'today.nothing' : 'today.unknown'));
}

/** Return the days that an action is about, for links to the same figures. */
function during(row) {
  const from = row && new URLSearchParams((row.evidence ?? '').split('?')[1]).get('from');
  return from && !state().term && !state().since ? { since: dayOf(from) } : {};
}

const people = row => row.students.map((student, place) => ({ student, name: row.student_names[place] }));

/** Return an action: what to do, why, and one link that opens it. */
const action = (heading, why, href, label) => [
  h('div', { class: 'what' }, h('h3', {}, heading), h('p', {}, why)),
  h('p', { class: 'do no-print' }, h('a', { class: 'button', href }, label)),
];

function repeat(row) {
  const days = during(row);
  const point = h('a', { href: link('point', { point: row.point, ...days }) }, row.name);
  const wrong = plural('today.wrong', row.number, { of: number(row.out_of) });
  const gap = row.gap && [space(), ...around('today.gap', { n: number(row.gap_students) }, h('a', { href: link('point', { point: row.gap, ...days }) }, row.gap_name))];
  return action(around('today.repeat', {}, point), [wrong, gap].filter(Boolean), link('point', { point: row.point, ...days }), plural('today.see', row.number));
}

function speak(row, helped, cared, mayWrite) {
  const rows = people(row).map(({ student, name }, place) => {
    const why = { ...helped.get(student), reasons: row.reasons[place].split('; ') };
    return h('li', {}, h('a', { href: link('student', { student }) }, name), h('span', {}, whyOf(why, cared.get(student)?.unanswered)), mayWrite && actionForm(student, name));
  });
  return [
    h('div', { class: 'what' }, h('h3', {}, t('today.speak', { who: listed(row.student_names).join('') })), h('ul', { class: 'reasons' }, rows)),
    h('p', { class: 'do no-print' }, h('a', { class: 'button', href: link('students') }, plural('today.all_help', row.out_of))),
  ];
}

function waiting(row) {
  const by = row.number === 1 ? 'today.by_one' : 'today.by';
  const why = [plural('today.waiting', row.school_days), space(), around(by, {}, peopleLinks(people(row)))];
  return action(plural('today.answer', row.number), why, recordsLink(row.evidence, during(row)), t('today.records'));
}

async function grid(asked) {
  const answer = await ask('/grid', asked);
  return [
    answer.rows.length > 0 ? heatMap(answer.rows) : h('p', { class: 'none' }, t('heat.none')),
    how('grid', answer, { folds: true }),
  ];
}

async function missing(asked) {
  const [answer, roster] = await Promise.all([ask('/handed-in', asked), ask('/roster', asked)]);
  const names = new Map(roster.rows.map(row => [row.student, row.name ?? row.student]));
  const open = answer.rows.filter(row => row.not_handed_in > 0).reverse(); // the last due first
  const unknown = answer.rows.filter(row => row.unknown > 0 && row.not_handed_in === 0);
  const nothing = answer.rows.length > 0 ? 'missing.nobody' : 'missing.no_tasks';
  return [
    open.length === 0 && unknown.length === 0 && h('p', { class: 'none' }, t(nothing)),
    unknown.length > 0 && h('p', { class: 'note' }, plural('missing.unknown', unknown.length)),
    open.slice(0, MOST_TASKS).map(row => task(row, names)),
    open.length > MOST_TASKS && folded(plural('missing.more', open.length - MOST_TASKS), open.slice(MOST_TASKS).map(row => task(row, names))),
    how('handed-in', answer, { folds: true }),
  ];
}

function task(row, names) {
  const missed = row.missing.map(student => ({ student, name: names.get(student) ?? student }));
  return h('div', { class: 'task', 'data-item': row.item },
    h('h3', {}, row.name, ' ', h('span', { class: 'of' }, h('data', { value: row.not_handed_in }, number(row.not_handed_in)), t('missing.of', { n: number(row.students) }))),
    h('p', { class: 'note' }, t('missing.due', { day: dayInWords(dayOf(row.due_at)) })),
    h('p', {}, peopleLinks(missed)),
    copyNames(missed.map(each => each.name)));
}

async function trend(asked, questions) {
  const answer = await ask('/trend', asked);
  const weeks = answer.rows.filter(row => row.right !== null);
  const last = weeks.at(-1);
  const drawn = weeks.slice(-WEEKS);
  return [
    last ? h('p', {}, h('span', { class: 'large' }, value(last.right, share(last.right))), ' ', h('span', { class: 'note' }, t('today.last_week', { week: dayInWords(last.week), n: number(last.students), of: number(answer.of_how_many.students) }))) : h('p', { class: 'none' }, t('trend.none')),
    drawn.length > 1 && [sparkLine(plural('today.spark', drawn.length, { first: share(drawn[0].right), last: share(last.right) }), drawn.map(row => row.right)),
      h('p', { class: 'ends note' }, h('span', {}, dayInWords(drawn[0].week)), h('span', {}, dayInWords(last.week)))],
    answer.rows.length > 0 && folded(plural('today.weeks', answer.rows.length), trendTable(answer, questions)),
    how('trend', answer, { folds: true }),
  ];
}

async function changes(asked) {
  const answer = await ask('/changes', asked);
  const of = state => answer.rows.filter(row => row.state === state).map(row => ({ student: row.student, name: row.student_name ?? row.student }));
  const fell = of('fell');
  const rose = of('rose');
  return [
    fell.length > 0 && h('p', {}, `${t('changes.fell')} `, peopleLinks(fell)),
    rose.length > 0 && h('p', {}, `${t('changes.rose')} `, peopleLinks(rose)),
    fell.length + rose.length === 0 && h('p', { class: 'none' }, t('changes.none')),
    how('changes', answer, { folds: true }),
  ];
}
