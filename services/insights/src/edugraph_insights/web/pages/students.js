// @ts-check
// Whom should I look at first? Every student of the course or group: who needs help and why, as a list of persons or
// as a table of all figures.

import { actionForm, doneAbout, mayAct } from '../acting.js';
import { ask } from '../api.js';
import { listOfChosen } from '../own_lists.js';
import { aboutStudent, bar, block, compare, copyNames, folded, h, hiddenFindings, how, recordsLink, searchInput, table, value } from '../parts.js';
import { courseInactive, whyOf } from '../reasons.js';
import { changed, state } from '../state.js';
import { day, knownShare, listed, number, plural, share, t, told } from '../words.js';

const MOST_PERSONS = 300; // of a list, until all are asked for
const NO_SIGN = 'no sign';

export function students({ asked, questions, person }) {
  return [h('h1', {}, t('students.title')), block(t('students.list'), () => list(asked, questions, mayAct({ questions, person })), { 'data-question': 'roster' })];
}

async function list(asked, questions, mayWrite) {
  const [roster, attention, help, taken] = await Promise.all([
    ask('/roster', asked),
    questions.has('attention') ? ask('/attention', asked) : null,
    questions.has('needs-help') ? ask('/needs-help', asked) : null,
    questions.has('actions') ? ask('/actions', asked) : null,
  ]);
  // In the order of the answer: who needs help most comes first.
  const helped = new Map((help?.rows ?? []).map((row, place) => [row.student, { ...row, place }]));
  const cared = new Map((attention?.rows ?? []).map(row => [row.student, row]));
  const done = new Map(); // student -> rows
  for (const row of taken?.rows ?? []) done.set(row.student, [...(done.get(row.student) ?? []), row]);
  const all = roster.rows.map(row => ({ ...row, mayWrite, done: done.get(row.student) ?? [], help: helped.get(row.student), unanswered: cared.get(row.student)?.unanswered ?? 0, hours: cared.get(row.student)?.median_hours_to_contact ?? null }));
  const sought = (state().find ?? '').trim().toLowerCase();
  const rows = all.filter(row => `${row.name ?? ''} ${row.student}`.toLowerCase().includes(sought));
  const first = help ? 'help' : '-unanswered';
  const isTable = state().view === 'table';
  return [
    search(all.length, rows.length),
    rows.length < all.length && h('p', { class: 'note only-print' }, `${t('students.find')} ${state().find} · ${t('students.found', { n: rows.length, of: all.length })}`),
    courseInactive(help),
    hiddenFindings(help),
    h('div', { class: 'choices no-print', role: 'group', 'aria-label': t('students.view') }, ['', 'table'].map(each => choice('view', each, state().view ?? '', t(`students_view.${each || 'list'}`)))),
    isTable ? wholeTable(rows, all.length, { help, attention, questions, first }) : persons(rows, { help, attention, questions, first }),
    help && how('needs-help', help, { folds: true }),
    how('roster', roster, { folds: true }),
    attention && how('attention', attention, { folds: true }),
    taken && how('actions', taken, { folds: true }),
  ];
}

const choice = (name, value, now, label) => h('a', { class: 'choice', href: changed({ [name]: value }), 'aria-current': value === now ? 'true' : null, 'data-keep-focus': `${name}-${value}` }, label);
const nameOf = row => row.name ?? row.student;

/** Return the name of a student, which leads to what the caller may see of the student. */
function nameLink(row, questions) {
  const href = aboutStudent(row.student, questions);
  return href ? h('a', { href }, nameOf(row)) : nameOf(row);
}

const records = (row, questions) => (questions.has('records') ? recordsLink(row.evidence) : null);

const KEYS = {
  help: row => row.help?.place,
  name: nameOf,
  right: row => row.right,
  unanswered: row => row.unanswered,
  last: row => row.last,
};

/** Return the students as a list: those who need help with a sentence each, those without a sign as names alone. */
function persons(rows, { help, attention, questions, first }) {
  const orders = { ...(help ? { help: t('students.by_need') } : {}), name: t('students.by_name'), right: t('column.right'), ...(attention ? { '-unanswered': t('column.unanswered') } : {}), last: t('column.last') };
  const given = state().sort ?? first;
  const wanted = Object.hasOwn(orders, given) ? given : first;
  const key = KEYS[wanted.replace(/^-/, '')];
  const ordered = [...rows].sort((a, b) => compare(key(a), key(b), wanted.startsWith('-')));
  const most = state().rows === 'all' ? ordered.length : MOST_PERSONS;
  const more = Math.max(ordered.length - most, 0);
  const chosen = chosenPersons();
  const people = of => h('ul', { class: 'persons' }, of.map(row => person(row, attention, questions, chosen)));
  const groups = wanted === 'help' ? grouped(ordered, most, people, questions) : people(ordered.slice(0, most));
  return [
    h('div', { class: 'choices no-print', role: 'group', 'aria-label': t('students.order') }, Object.entries(orders).map(([name, label]) => choice('sort', name, wanted, label))),
    rows.length > 0 ? groups : h('p', { class: 'none' }, t('table.none')),
    more > 0 && h('p', { class: 'note' }, plural('table.rest', more), ' ', h('a', { href: changed({ rows: 'all' }), 'data-keep-focus': 'all-students' }, t('table.all'))),
    chosen.bar,
  ];
}

/** Return the group of a student in the list by need. */
function groupOf(row) {
  if (row.help?.reasons.length) return 'help';
  if (row.unanswered > 0) return 'others';
  if (!row.help) return 'not_looked_at';
  return row.help.bucket === NO_SIGN ? 'fine' : 'too_few';
}

/** Return all groups with the numbers of their students, and the first `most` students. */
function grouped(rows, most, people, questions) {
  const shown = new Set(rows.slice(0, most));
  const of = group => rows.filter(row => groupOf(row) === group);
  const head = (words, all) => h('h3', { class: 'group' }, words, ' ', h('data', { value: all.length, class: 'of' }, number(all.length)));
  const group = name => {
    const all = of(name);
    return all.length > 0 && [head(t(`students.${name}`), all), people(all.filter(row => shown.has(row)))];
  };
  const fine = of('fine');
  const drawn = fine.filter(row => shown.has(row));
  const names = h('span', { class: 'people' }, listed(drawn.map(row => nameLink(row, questions))));
  return [
    ['help', 'others', 'too_few', 'not_looked_at'].map(group),
    fine.length > 0 && folded(plural('students.fine', fine.length), h('p', {}, names)),
  ];
}

function person(row, attention, questions, chosen) {
  const who = nameOf(row);
  const right = row.first_attempts > 0
    ? figure(value(row.right, share(row.right)), plural('students.right_of', row.first_attempts))
    : figure(value(null, '–'), t('students.no_attempt'));
  const waiting = attention
    ? figure([value(row.unanswered, number(row.unanswered)), h('span', { class: 'of' }, t('missing.of', { n: number(row.mistakes) }))], t('students.unanswered'))
    : figure(value(row.mistakes, number(row.mistakes)), t('column.mistakes'));
  const all = records(row, questions);
  return h('li', { class: 'person', 'data-row': row.student },
    h('span', { class: 'pick no-print' }, h('input', { type: 'checkbox', 'aria-label': t('students.choose', { who }), onchange: event => chosen.change(row.student, who, event.target.checked) })),
    h('div', { class: 'text' },
      h('p', { class: 'name' }, nameLink(row, questions)),
      h('p', { class: 'why' }, whyOf(row.help, row.unanswered)),
      row.done.length > 0 && h('p', { class: 'note' }, doneAbout(row.done)),
      row.mayWrite && actionForm(row.student, who)),
    right, waiting,
    figure(h('time', {}, day(row.last)), t('students.last')),
    all && h('p', { class: 'do no-print' }, h('a', { class: 'button', href: all, 'aria-label': t('students.records_of', { who }) }, t('students.records'))));
}

const figure = (shown, unit) => h('p', { class: 'figure' }, h('span', { class: 'strong' }, shown), h('span', { class: 'unit' }, unit));

/** Return a bar that offers the names of the chosen students to copy and a list of them, and the function that a change of the choice calls. */
function chosenPersons() {
  const names = new Map(); // student -> name
  const place = h('div', { class: 'chosen no-print', hidden: true });
  function change(student, name, isChosen) {
    if (isChosen) names.set(student, name);
    else names.delete(student);
    place.hidden = names.size === 0;
    place.replaceChildren(h('span', { role: 'status' }, plural('students.chosen', names.size)), ' ', copyNames([...names.values()]), ' ', listOfChosen(() => [...names.keys()]));
  }
  return { bar: place, change };
}

function wholeTable(rows, all, { help, attention, questions, first }) {
  return table(t('students.caption', { n: rows.length, of: all }), [
    { name: 'name', label: t('column.student'), text: true, key: nameOf, cell: row => nameLink(row, questions) },
    ...(help ? [
      { name: 'help', label: t('column.help'), text: true, key: row => row.help?.place, cell: row => told('bucket', row.help?.bucket ?? '–') },
      { name: 'why', label: t('column.why'), text: true, prose: true, cell: row => whyOf(row.help) || '–' },
    ] : []),
    ...(attention ? [{ name: 'unanswered', label: t('column.unanswered'), key: row => row.unanswered, cell: row => value(row.unanswered, number(row.unanswered), records(row, questions), nameOf(row)) }] : []),
    { name: 'mistakes', label: t('column.mistakes'), key: row => row.mistakes, cell: row => value(row.mistakes, number(row.mistakes), records(row, questions), nameOf(row)) },
    { name: 'right', label: t('column.right'), key: row => row.right, cell: row => bar(row.right, records(row, questions), nameOf(row)) },
    { name: 'first_attempts', label: t('column.first_attempts'), key: row => row.first_attempts, cell: row => value(row.first_attempts, number(row.first_attempts), records(row, questions), nameOf(row)) },
    { name: 'progress', label: t('column.progress'), key: row => row.progress, cell: row => value(row.progress, knownShare(row.progress === null ? null : row.progress / 100), questions.has('records') ? recordsLink(row.progress_evidence) : null, nameOf(row)) },
    ...(attention ? [{ name: 'hours', label: t('column.hours'), key: row => row.hours, cell: row => value(row.hours, number(row.hours), records(row, questions), nameOf(row)) }] : []),
    { name: 'last', label: t('column.last'), key: row => row.last, cell: row => h('time', {}, day(row.last)) },
  ], rows, { sort: first });
}

function search(all, shown) {
  return h('p', { class: 'search no-print' }, h('label', {}, `${t('students.find')} `, searchInput({ 'aria-describedby': 'found' })), ' ', h('span', { id: 'found' }, t('students.found', { n: shown, of: all })));
}
