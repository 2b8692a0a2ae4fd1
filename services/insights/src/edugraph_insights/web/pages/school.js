// @ts-check
// How do the courses of the school stand, term by term? For a head of school, and for an analyst, who sees cells.

import { ask } from '../api.js';
import { wordsForm } from '../asking.js';
import { keepingFocus } from '../focus.js';
import { viewSignal } from '../lifetime.js';
import { block, compare, h, hiddenRows, how, refusal, table, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { timesAsked } from '../times.js';
import { fewOf, moment, number, plural, share, sorter, t, told } from '../words.js';

const MOST_TERMS = 4; // the latest ones are shown
const AT_ONCE = 2; // each course is a request of its own
const MOST_POINTS = 5; // at which two groups differ
const FELL = 5; // points of 100: from this change on, a course is named
const HALF = 0.5;
const MOST_NAMED = 3; // courses in one sentence

export function school({ courses, groups, asked, questions, sees }) {
  const title = [h('h1', {}, t('school.title'))];
  if (!questions.has('terms')) return [...title, refusal({ type: 'role', detail: '' })];
  return [
    ...title,
    h('p', { class: 'lead' }, plural('school.courses', courses.length), ' ', t(`school_sees.${sees.replace(' ', '_')}`)),
    block(t('school.terms'), () => courseTerms(courses, questions), { 'data-question': 'terms' }),
    questions.has('groups') && groupComparison(courses, groups, asked),
    wordsForm(),
  ];
}

/** Return the table of courses and terms. A course is asked about when it comes into view, or in the order by need. */
function courseTerms(courses, questions) {
  const answers = new Map(); // id of a course -> its answer, or the problem why there is none
  const waiting = []; // ids of the courses to ask about
  const place = h('div', {});
  const signal = viewSignal();
  const isByNeed = state().order === 'need';
  const byName = [...courses].sort((a, b) => sorter().compare(a.name, b.name));
  let running = 0;
  const seen = new IntersectionObserver(entries => {
    const courseOf = entry => /** @type {HTMLElement} */ (entry.target).dataset.row;
    const isWanted = entry => entry.isIntersecting && !isAsked(courseOf(entry));
    const wanted = entries.filter(isWanted).map(courseOf);
    if (wanted.length) askAbout(wanted);
  });
  signal.addEventListener('abort', () => seen.disconnect(), { once: true });
  const asking = new Set(); // ids of the courses that wait for an answer
  const isAsked = id => asking.has(id) || answers.has(id);

  function askAbout(ids) {
    for (const id of ids) {
      answers.delete(id);
      asking.add(id);
      waiting.push(id);
    }
    draw();
    askNext();
  }

  function askNext() {
    while (running < AT_ONCE && waiting.length && !signal.aborted) askOne(waiting.shift());
  }

  async function askOne(id) {
    running += 1;
    try {
      answers.set(id, await ask('/terms', { ...timesAsked(), course: id }));
    } catch (problem) {
      answers.set(id, problem);
    }
    running -= 1;
    asking.delete(id);
    if (signal.aborted) return;
    draw();
    askNext();
  }

  function draw() {
    const known = [...answers.values()].filter(each => each.rows);
    const terms = latestTerms(known);
    const isComplete = answers.size === courses.length;
    const rows = byName.map(({ id, name }) => ({ course: id, name, answer: answers.get(id), isAsking: asking.has(id) }));
    if (isByNeed && isComplete) rows.sort((a, b) => compare(latestShare(a, terms), latestShare(b, terms)));
    const parts = [
      isComplete ? terms.length > 0 && sentencesOf(needsOf(rows, terms), questions, known.length === courses.length) : wayToAll(courses.length),
      table(t('school.caption'), columnsOf(terms, again), rows, { look: 'by-terms' }),
      !isComplete && h('p', { class: 'note' }, t('school.progress', { n: number(answers.size), of: number(courses.length) })),
      isComplete && !terms.length && h('p', { class: 'note' }, t('school.no_terms')),
      known.some(each => !each.exact) && h('p', { class: 'hidden-groups' }, t('how.hidden')),
      known.length > 0 && h('p', { class: 'note' }, t('how.as_of', { at: moment(known.map(each => each.as_of).sort()[0]) })),
    ].flat().filter(Boolean);
    keepingFocus(place, () => place.replaceChildren(...parts), () => place.querySelector('.scrolls'));
    seen.disconnect();
    for (const each of place.querySelectorAll('[data-row]')) if (!isAsked(each.dataset.row)) seen.observe(each);
  }

  const again = id => askAbout([id]);
  draw();
  if (isByNeed) askAbout(byName.map(each => each.id).filter(id => !isAsked(id)));
  return [
    h('div', { class: 'choices no-print', role: 'group', 'aria-label': t('school.order') }, ['name', 'need'].map(each =>
      h('a', { class: 'choice', href: changed({ order: each === 'name' ? '' : each }), 'aria-current': (each === 'need') === isByNeed ? 'true' : null, 'data-keep-focus': `order-${each}` }, t(`school_order.${each}`)))),
    place,
    h('footer', { class: 'how' }, h('details', {}, h('summary', {}, t('how.computed')), h('p', {}, told('computed', 'terms')))),
  ];
}

/** Return the way to the order in which every course is asked about. Only then it is known which one needs the head. */
function wayToAll(n) {
  if (state().order === 'need') return null;
  return h('p', { class: 'no-print' }, h('a', { class: 'button', href: changed({ order: 'need' }), 'data-keep-focus': 'look-at-all' }, plural('school.look_at_all', n)));
}

/**
 * Return at most three needs: {kind, row or rows, …}. A course that fell most, one with less than half right, and courses without
 * records of the latest term. One course is named once.
 */
function needsOf(rows, terms) {
  const last = terms.at(-1);
  const before = terms.at(-2);
  if (!last) return [];
  const known = rows.filter(row => row.answer?.rows).map(row => ({ ...row, now: rowOf(row.answer, last), then: before && rowOf(row.answer, before) }));
  const fell = known.filter(isLower).sort((a, b) => (a.now.right - a.then.right) - (b.now.right - b.then.right))[0];
  const isHalf = row => (row.now?.right ?? HALF) < HALF && row.course !== fell?.course;
  const low = known.filter(isHalf).sort((a, b) => a.now.right - b.now.right)[0];
  // A row that is hidden from an analyst is missing, too.
  const silent = known.filter(row => row.answer.exact && row.answer.rows.length > 0 && !row.now);
  return [
    fell && { kind: 'fell', row: fell, term: last },
    low && { kind: 'low', row: low, term: last },
    silent.length > 0 && silent.length < known.length && { kind: 'silent', row: silent[0], rows: silent, term: last },
  ].filter(Boolean);
}

/** Return whether a course fell clearly, by more than the protection by noise can make alone. */
function isLower({ now, then }) {
  if ((now?.right ?? null) === null || (then?.right ?? null) === null) return false;
  const fall = then.right - now.right;
  return Math.round(100 * fall) >= FELL && fall > (now.noise ?? 0) + (then.noise ?? 0);
}

/** Return the needs as actions. That there are none is said only where every course gave an answer. */
function sentencesOf(needs, questions, isEachKnown) {
  if (needs.length === 0) return isEachKnown && h('p', { class: 'none' }, t('school.no_needs'));
  return h('ol', { class: 'actions' }, needs.map(need => h('li', { 'data-action': need.kind },
    h('div', { class: 'what' }, h('h3', {}, needInWords(need)), h('p', {}, whyInWords(need))),
    h('p', { class: 'do no-print' }, need.kind === 'silent' && questions.has('imports')
      ? h('a', { class: 'button', href: link('imports') }, t('school.see_imports'))
      : h('a', { class: 'button', href: link('overview', { course: need.row.course, group: '', term: need.kind === 'silent' ? '' : need.term.term }) }, t('school.open_course'))))));
}

function needInWords({ kind, row, rows }) {
  if (kind === 'silent') return plural('school.silent', rows.length, { course: fewOf(rows.map(each => each.name), MOST_NAMED) });
  return t(kind === 'fell' ? 'school.fell' : 'school.low', { course: row.name });
}

function whyInWords({ kind, row, term }) {
  if (kind === 'silent') return t('school.silent_why', { term: term.name });
  const now = share(row.now.right);
  const counted = row.answer.exact ? plural('school.students', row.now.students) : plural('school.about_students', row.now.students);
  if (kind === 'low') return t('school.low_why', { now, term: term.name, students: counted });
  return t('school.fell_why', { now, then: share(row.then.right), term: term.name, students: counted });
}

/** Return the latest terms with records of any course, the latest one last. */
function latestTerms(answers) {
  const terms = new Map();
  for (const answer of answers) for (const row of answer.rows) terms.set(row.term, row);
  const byStart = [...terms.values()].sort((a, b) => Date.parse(a.starts) - Date.parse(b.starts) || compare(a.term, b.term));
  return byStart.slice(-MOST_TERMS);
}

const rowOf = (answer, term) => answer?.rows?.find(row => row.term === term.term);

/** Return the share right of a course in the latest of these terms that has one, or null. */
function latestShare({ answer }, terms) {
  const shares = terms.map(term => rowOf(answer, term)?.right ?? null).filter(each => each !== null);
  return shares.at(-1) ?? null;
}

function columnsOf(terms, again) {
  return [
    { name: 'name', label: t('filter.course'), text: true, cell: row => courseCell(row, again) },
    ...terms.map((term, place) => ({ name: term.term, label: term.name, cell: row => termCell(row.answer, term, terms[place - 1]) })),
  ];
}

function courseCell({ course, name, answer, isAsking }, again) {
  const failed = answer && !answer.rows;
  return [
    h('a', { href: link('overview', { course, group: '', term: '' }), 'data-keep-focus': `course-${course}` }, name),
    isAsking && h('span', { class: 'waits' }, t('status.waits')),
    failed && refusal(answer),
    failed && h('button', { type: 'button', class: 'no-print', 'aria-label': `${t('status.again')}: ${name}`, 'data-keep-focus': `again-${course}`, onclick: () => again(course) }, t('status.again')),
    answer?.outdated && h('span', { class: 'outdated' }, t('how.outdated', { at: moment(answer.as_of) })),
  ];
}

/** Return the share right of a course in a term, how it changed since the term before, and of how many students it is. */
function termCell(answer, term, termBefore) {
  if (!answer?.rows) return '';
  const row = rowOf(answer, term);
  if (!row || row.right === null) {
    const isHidden = !answer.exact && (row || hiddenRows(answer) > 0);
    return h('span', { class: 'quiet' }, isHidden ? t('school.hidden') : '–');
  }
  const before = termBefore && rowOf(answer, termBefore);
  return [
    h('span', { class: 'strong' }, value(row.right, share(row.right))),
    row.noise && h('span', { class: 'noise' }, ` ± ${share(row.noise)}`),
    h('span', { class: 'unit' }, answer.exact ? plural('school.students', row.students) : plural('school.about_students', row.students)),
    before && before.right !== null && h('span', { class: 'unit' }, change(row, before)),
  ];
}

/** Return in words how a share changed. A change that the protection by noise can make alone is none. */
function change(row, before) {
  const points = Math.round(100 * row.right) - Math.round(100 * before.right);
  const fromNoise = (row.noise ?? 0) + (before.noise ?? 0);
  const isSame = points === 0 || Math.abs(row.right - before.right) <= fromNoise;
  if (isSame) return t('school.same');
  return t(points > 0 ? 'school.up' : 'school.down', { n: number(Math.abs(points)) });
}

function groupComparison(courses, groups, asked) {
  const { course, one: chosenOne, other: chosenOther } = state();
  const ofCourse = groups.filter(each => each.courses.length === 0 || each.courses.includes(course));
  const name = courses.find(each => each.id === course)?.name ?? course;
  const has = id => ofCourse.some(each => each.id === id);
  const one = has(chosenOne) ? chosenOne : ofCourse[0]?.id;
  const other = has(chosenOther) ? chosenOther : ofCourse.find(each => each.id !== one)?.id;
  const whole = block(t('school.groups', { course: name }), () => compared(asked, one, other, ofCourse), { 'data-question': 'groups' });
  if (ofCourse.length > 1) whole.querySelector('h2').after(groupForm(ofCourse, { one, other }));
  return whole;
}

function groupForm(groups, chosen) {
  const pick = (name, label) => h('label', {}, `${label} `, h('select', { name, 'data-keep-focus': `pick-${name}`,
    onchange: event => { location.hash = changed({ ...chosen, [name]: event.target.value }); } },
    groups.map(each => h('option', { value: each.id, selected: each.id === chosen[name] }, each.name))));
  return h('form', { class: 'filters no-print', 'aria-label': t('school.pick_groups'), onsubmit: event => event.preventDefault() },
    pick('one', t('school.compare')), pick('other', t('school.with')));
}

async function compared(asked, one, other, groups) {
  if (groups.length < 2) return h('p', { class: 'note' }, t('school.few_groups'));
  if (one === other) return h('p', { class: 'note' }, t('school.same_group'));
  const answer = await ask('/groups', { ...asked, group: one, other_group: other });
  const whole = answer.rows.filter(row => row.school_week === null);
  const isClear = row => row.low !== null && (row.low > 0 || row.high < 0);
  const points = whole.filter(row => row.point && isClear(row)).sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference));
  const rows = [...whole.filter(row => !row.point), ...points.slice(0, MOST_POINTS)];
  const nameOf = id => groups.find(each => each.id === id).name;
  const figure = (exact, students) => [h('span', { class: 'strong' }, value(exact, share(exact))), h('span', { class: 'unit' }, plural('school.students', students))];
  return [
    table(t('school.groups_caption'), [
      { name: 'measure', label: t('school.measure'), text: true, cell: measureInWords },
      { name: 'group', label: nameOf(one), cell: row => figure(row.group, row.students) },
      { name: 'other', label: nameOf(other), cell: row => figure(row.other, row.other_students) },
      { name: 'difference', label: t('school.difference'), text: true, cell: row => differenceInWords(row, isClear(row)) },
    ], rows, { none: t('school.nothing_shared') }),
    h('p', { class: 'note' }, t('school.groups_note')),
    how('groups', answer),
  ];
}

function measureInWords({ measure, name }) {
  if (measure === 'right') return t('school.right');
  if (measure === 'needs help') return t('school.in_need');
  return t('school.wrong_at', { point: name });
}

function differenceInWords({ difference, low, high }, isClear) {
  if (low === null) return t('school.too_few');
  if (!isClear) return t('school.no_difference');
  const points = [low, high].map(each => Math.round(100 * Math.abs(each))).sort((a, b) => a - b);
  return t(difference > 0 ? 'school.higher' : 'school.lower', { n: number(Math.round(100 * Math.abs(difference))), least: number(points[0]), most: number(points[1]) });
}
