// @ts-check
// One student on one page: what is seen at each point, what comes next, and the records of it in time.

import { actionForm, actionList, doneAbout, lastContact, mayAct } from '../acting.js';
import { ask } from '../api.js';
import { chart } from '../charts.js';
import { draftForm, mayDraft } from '../drafting.js';
import { levelOf } from '../heat.js';
import { around, block, colour, columns, h, hiddenFindings, how, recordsLink, sureEnough, value, waiting } from '../parts.js';
import { whyOf } from '../reasons.js';
import { link, state } from '../state.js';
import { day, dayInWords, dayOf, number, plural, sentences, share, t, told } from '../words.js';
import { dueOfOne } from './due.js';
import { toPractise } from './practice.js';
import { recordsTable } from './records.js';

const MOST_DRAWN = 1000; // records of the timeline
const MOST_STEPS = 3;
const HALF = 500; // thousandths
const LEARN = 'learn'; // how the API calls a step to a point that is not known well enough

export function student({ asked, questions, person, sees, drafts }) {
  const one = { ...asked, group: undefined, list: undefined, student: state().student };
  if (sees === 'self' && one.student) return mine(one, questions);
  const title = h('h1', {}, t('student.title', { who: one.student ?? '' }));
  if (!one.student) return [h('h1', {}, t('student.none')), h('p', {}, h('a', { href: link('students') }, t('nav.students')))];
  title.done = ask('/roster', one).then(answer => { title.textContent = t('student.title', { who: answer.rows[0]?.name ?? one.student }); }, () => {});
  const points = () => ask('/student', one);
  return [
    title,
    questions.has('needs-help') && why(one, questions),
    questions.has('course-map') && h('p', { class: 'no-print' }, h('a', { href: link('map', { student: one.student }) }, t('student.map'))),
    columns([
      block(t('student.points'), () => seen(points, one), { 'data-question': 'student' }),
      block(t('student.timeline'), () => timeline(one), { 'data-question': 'records' }),
    ], [
      questions.has('actions') && contact(one, { acts: mayAct({ questions, person }), drafts: mayDraft({ questions, person, drafts }) }),
      questions.has('next') && block(t('student.next'), () => next(points, one), { 'data-question': 'next' }),
      questions.has('practice') && block(t('practice.title'), () => toPractise(one), { 'data-question': 'practice' }),
      questions.has('due') && block(t('due.title'), () => dueOfOne(one), { 'data-question': 'due' }),
      questions.has('handed-in') && block(t('student.handed_in'), () => handedIn(one), { 'data-question': 'handed-in' }),
    ]),
  ];
}

/** Return the page of students about themselves. It says "you", and begins with what to do next. */
function mine(one, questions) {
  const title = h('h1', {}, t('mine.title'));
  title.done = ask('/roster', one).then(answer => { title.textContent = titleOf(answer.rows[0]?.name); }, () => {});
  const points = () => ask('/student', one);
  return [
    title,
    questions.has('next') && block(t('mine.next'), () => myNext(points, one), { 'data-question': 'next' }),
    questions.has('due') && block(t('mine.due'), () => dueOfOne(one), { 'data-question': 'due' }),
    block(t('mine.points'), () => seen(points, one, mySentence), { 'data-question': 'student' }),
    questions.has('course-map') && h('p', { class: 'no-print' }, h('a', { href: link('map', { student: one.student }) }, t('mine.map'))),
    block(t('mine.timeline'), () => timeline(one), { 'data-question': 'records' }),
  ];
}

const titleOf = name => (name ? t('mine.title_of', { who: name }) : t('mine.title'));

/** Show what to do first, in a sentence, and what comes after it. */
async function myNext(points, one) {
  const known = (await points()).rows;
  const goal = goalOf(known);
  if (!goal) return h('p', { class: 'lead' }, t(known.length > 0 ? 'mine.all_done' : 'mine.nothing_known'));
  const answer = await ask('/next', { ...one, goal: goal.point });
  const [first, ...later] = answer.rows.slice(0, MOST_STEPS);
  const open = row => h('a', { href: link('map', { point: row.point, student: one.student }) }, row.name);
  return [
    first && h('p', { class: 'lead' }, around(first.action === LEARN ? 'mine.learn' : 'mine.check', {}, open(first))),
    first && first.point !== goal.point && h('p', {}, t('mine.goal', { name: goal.name })),
    later.length > 0 && h('p', {}, t('mine.then')),
    later.length > 0 && h('ol', { class: 'lines' }, later.map(row => h('li', {}, open(row), h('span', { class: 'note' }, t(row.action === LEARN ? 'mine.later_learn' : 'mine.later_check'))))),
    how('next', answer, { folds: true }),
  ];
}

/** Return the weakest point that is open. */
const goalOf = rows => rows.find(row => row.state !== 'mastered');

/** Say to students what is seen of them at a point. */
function mySentence(row) {
  const tried = row.right + row.wrong;
  const counted = tried > 0 ? t('mine.right_of', { n: number(row.right), of: number(tried) }) : t('mine.no_attempt');
  const exact = sureEnough(row.probability, row.low, row.high);
  const found = row.mistakes > 0 && plural('mine.mistakes', row.mistakes);
  return [h('span', {}, sentences([counted, tried > 0 && (exact === null ? t('mine.too_few') : told('mine_state', row.state))])), found && h('span', { class: 'quiet' }, ' ', found)];
}

/** Return the sentence of why the student needs help, which fills itself. */
function why(one, questions) {
  const place = h('p', { class: 'lead' });
  place.done = Promise.all([ask('/needs-help', one), questions.has('attention') ? ask('/attention', one) : null])
    .then(([help, care]) => { place.textContent = whyOf(help.rows[0], care?.rows[0]?.unanswered); }, () => {});
  return place;
}

async function seen(points, one, sentenceOf = sentence) {
  const answer = await points();
  return [
    answer.rows.length === 0 && h('p', { class: 'none' }, t('student.nothing')),
    h('ul', { class: 'seen' }, answer.rows.map(row => h('li', { 'data-row': row.point },
      h('a', { class: 'name', href: link('map', { point: row.point, student: one.student }) }, row.name),
      tile(row),
      h('p', {}, sentenceOf(row))))),
    hiddenFindings(answer, { toReview: sentenceOf === sentence }),
    how('student', answer, { folds: true }),
  ];
}

/** Return the right answers of all as a tile, which opens the records. */
function tile(row) {
  const tried = row.right + row.wrong;
  const cell = { first_attempts: tried, right: row.right, share: tried > 0 ? row.right / tried : null };
  const level = levelOf(cell) ?? 'untried';
  const shown = tried > 0 ? `${number(row.right)}/${number(tried)}` : '–';
  return h('a', { class: `tile ${level}`, href: recordsLink(row.evidence), 'aria-label': t('heat.cell', { who: row.name, point: t(`heat_level.${level}`), right: row.right, n: tried }) }, shown);
}

/** Return what is seen at a point in words: right answers, an estimate or that there are too few for one, and mistakes. */
function sentence(row) {
  const tried = row.right + row.wrong;
  const counted = tried > 0 ? t('student.right_of', { n: number(row.right), of: number(tried) }) : t('student.no_attempt');
  const exact = sureEnough(row.probability, row.low, row.high);
  const estimate = exact === null
    ? t('student.too_few')
    : t('student.estimate', { state: told('state', row.state), value: share(exact), low: share(row.low), high: share(row.high) });
  const found = row.mistakes > 0 && [' ', plural('student.mistakes', row.mistakes)];
  return [h('span', {}, counted), h('span', { class: 'quiet' }, tried > 0 && estimate, found)];
}

/** Show the first steps to the point at which the student is weakest. */
async function next(points, one) {
  const goal = goalOf((await points()).rows);
  if (!goal) return h('p', { class: 'none' }, t('student.no_goal'));
  const answer = await ask('/next', { ...one, goal: goal.point });
  const steps = answer.rows.slice(0, MOST_STEPS);
  return [
    h('p', {}, t('student.goal', { name: goal.name })),
    h('ol', { class: 'lines' }, steps.map(row => h('li', {}, h('a', { href: link('map', { point: row.point, student: one.student }) }, row.name), h('span', { class: 'note' }, told('next', row.action))))),
    waiting(answer),
    how('next', answer, { folds: true }),
  ];
}

/** Return the block of what teachers did about the student, with a form for more. */
function contact(one, may) {
  const part = block(t('act.title'), async () => {
    const [answer, roster] = await Promise.all([ask('/actions', one), ask('/roster', one)]);
    const known = roster.rows[0];
    const refill = () => part.replaceWith(contact(one, may));
    return [
      h('p', { class: lastContact(answer.rows) ? null : 'none' }, lastContact(answer.rows) ? doneAbout(answer.rows) : sentences([t('act.no_contact'), doneAbout(answer.rows)])),
      may.acts && known && actionForm(known.student, known.name ?? known.student, refill),
      may.drafts && known && draftForm(known.student, known.name ?? known.student),
      answer.rows.some(row => row.kind === 'action') && actionList(answer.rows),
      how('actions', answer, { folds: true }),
    ];
  }, { class: 'no-print', 'data-question': 'actions' });
  return part;
}

async function handedIn(one) {
  const [answer, roster] = await Promise.all([ask('/handed-in', { ...one, student: undefined }), ask('/roster', one)]);
  // The address may have another id of the student.
  const id = roster.rows[0]?.student ?? one.student;
  const missing = answer.rows.filter(row => row.missing.includes(id)).reverse();
  const unknown = answer.rows.filter(row => row.unknown_students.includes(id));
  const nothing = answer.rows.length > 0 ? 'student.all_handed_in' : 'missing.no_tasks';
  return [
    missing.length === 0 && unknown.length === 0 && h('p', { class: 'none' }, t(nothing)),
    unknown.length > 0 && h('p', { class: 'note' }, plural('missing.unknown', unknown.length)),
    missing.length > 0 && h('ul', { class: 'lines' }, missing.map(row => h('li', {}, row.name, h('span', { class: 'note' }, t('missing.due', { day: dayInWords(dayOf(row.due_at)) }))))),
    how('handed-in', answer, { folds: true }),
  ];
}

async function timeline(one) {
  const answer = await ask('/records', { ...one, limit: MOST_DRAWN });
  // Texts of records are free text and may name others, so the sheet about one student goes without them.
  return [
    answer.rows.length > 1 && drawing(answer.rows),
    h('p', { class: 'only-print' }, plural('paper.records', answer.rows.length)),
    h('div', { class: 'no-print' }, recordsTable(answer.rows, undefined, { ofOne: true })),
    how('records', answer, { folds: true }),
  ];
}

/** Draw right answers above, partly right ones between, wrong ones and mistakes below. */
function drawing(rows) {
  const inOrder = [...rows].reverse();
  const of = (kind, choose) => ({ kind, values: inOrder.map(row => (choose(row) ? (row.outcome ?? 0) / 10 : null)) });
  const series = [
    of('right', row => row.outcome !== null && row.outcome >= HALF),
    of('wrong', row => row.outcome !== null && row.outcome < HALF),
    of('mistake', row => row.outcome === null),
  ];
  const place = chart(t('student.chart', { n: rows.length }), axis => ({
    options: {
      height: 180,
      scales: { y: { range: [-12, 112] } },
      axes: [
        { ...axis, values: (_, seconds) => seconds.map(each => day(each * 1000)), space: 110 },
        { ...axis, values: (_, parts) => parts.map(each => share(each / 100)), splits: () => [0, 50, 100], size: 60 },
      ],
      series: [{}, ...series.map(({ kind }) => ({ label: kind, stroke: colour(kind), paths: () => null, points: { show: true, size: kind === 'mistake' ? 12 : 8, fill: kind === 'mistake' ? 'transparent' : colour(kind), stroke: colour(kind), width: 2 } }))],
    },
    data: [inOrder.map(row => Date.parse(row.at) / 1000), ...series.map(each => each.values)],
  }));
  const legend = h('p', { class: 'legend' }, series.map(({ kind, values }) => h('span', {}, h('i', { class: `dot ${kind}`, 'aria-hidden': 'true' }), `${t(`legend.${kind}`)} `, value(values.filter(each => each !== null).length))));
  return h('figure', {}, place, h('figcaption', {}, legend));
}
