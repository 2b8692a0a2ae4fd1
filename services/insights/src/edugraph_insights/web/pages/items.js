// @ts-check
// Which questions are hard, and what was answered? The items of a course, and below a chosen one its answers.

import { ask, goOn } from '../api.js';
import { bar, block, compare, folded, h, hiddenRows, how, peopleLinks, recordsLink, refusal, searchInput, table, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { language, listed, number, plural, sentences, t } from '../words.js';

const HARD = 0.5; // a question with a lower share right is hard
const CLEAR = 0.3; // from this correlation on, strong students clearly do better
const DOUBTFUL = 0.1; // below this correlation, strong students miss the question about as often as others
const MOST_ANSWERS = 6; // of a question, until the others are unfolded
const MOST_WITH_HELP = 5000; // first attempts: of more, the answer about help would be too long
const FIRST_ORDER = 'right';
const KEYS = {
  right: row => row.right,
  name: row => row.name,
  doubt: row => row.discrimination,
  '-help': row => row.help?.used,
};

export function items({ asked, questions }) {
  const title = h('h1', {}, t('items.title'));
  if (!questions.has('items')) return [title, refusal({ type: 'role', detail: '' })];
  return [title, block(t('items.list'), () => list(asked, questions), { 'data-question': 'items' })];
}

async function list(asked, questions) {
  const answer = await ask('/items', asked);
  const answers = answer.of_how_many['first attempts'] ?? 0;
  const mayAskHelp = questions.has('help-used') && answer.rows.length > 0;
  const help = mayAskHelp && answers <= MOST_WITH_HELP ? await ask('/help-used', asked) : null;
  const helped = helpByItem(help);
  const all = answer.rows.map(row => ({ ...row, help: helped.get(row.item) }));
  const sought = (state().find ?? '').trim().toLowerCase();
  const rows = all.filter(row => [row.name, row.item, ...row.point_names].some(each => each.toLowerCase().includes(sought)));
  const orders = ordersOf(all);
  const wanted = orders.includes(state().sort) ? state().sort : FIRST_ORDER;
  rows.sort((a, b) => compare(KEYS[wanted](a), KEYS[wanted](b), wanted.startsWith('-')) || compare(a.name, b.name));
  return [
    all.length > 0 && h('p', { class: 'lead' }, inWords(all)),
    h('p', { class: 'search no-print' }, h('label', {}, `${t('items.find')} `, searchInput())),
    orderChoices(orders, wanted),
    table(t('items.caption', { n: number(rows.length), of: number(all.length) }), columnsOf(all, questions, answer.exact), rows, {
      look: 'by-item', none: t(all.length > 0 ? 'table.none' : 'items.none'), hidden: hiddenRows(answer),
      below: row => (isOpen(row, questions) ? opened(row, asked, questions) : null),
    }),
    answer.exact && all.length > 0 && !isJudged(all) && h('p', { class: 'note' }, t('items.too_few')),
    mayAskHelp && !help && h('p', { class: 'note' }, t('items.no_help', { n: number(MOST_WITH_HELP) })),
    !answer.exact && h('p', { class: 'note' }, t('items.cells')),
    how('items', answer, { folds: true }),
    helped.size > 0 && how('help-used', help, { folds: true }),
  ];
}

/** Return, for each item with known hints, how many students used help at it, and of how many that is known. */
function helpByItem(help) {
  const helped = new Map();
  for (const row of help?.rows ?? []) {
    const { used, known } = helped.get(row.item) ?? { used: 0, known: 0 };
    helped.set(row.item, { used: used + Number(row.attempts_with_help > 0), known: known + 1 });
  }
  return helped;
}

const isJudged = rows => rows.some(row => row.discrimination !== null);
const isDoubtful = row => row.discrimination !== null && row.discrimination < DOUBTFUL;
const isOpen = (row, questions) => questions.has('answers') && state().item === row.item;

/** Return the names of the orders that have something to sort by. */
function ordersOf(rows) {
  const orders = [FIRST_ORDER, 'name'];
  if (isJudged(rows)) orders.push('doubt');
  if (rows.some(row => row.help)) orders.push('-help');
  return orders;
}

function inWords(rows) {
  const hard = rows.filter(row => row.right !== null && row.right < HARD).length;
  const doubtful = rows.filter(isDoubtful).length;
  return sentences([
    plural('items.number', rows.length),
    hard > 0 && plural('items.hard', hard),
    doubtful > 0 && plural('items.doubtful', doubtful),
  ]);
}

function orderChoices(orders, wanted) {
  return h('div', { class: 'choices no-print', role: 'group', 'aria-label': t('items.order') }, orders.map(each =>
    h('a', { class: 'choice', href: changed({ sort: each === FIRST_ORDER ? '' : each }), 'aria-current': each === wanted ? 'true' : null, 'data-keep-focus': `order-${each}` }, t(`items_order.${each.replace('-', '')}`))));
}

function columnsOf(rows, questions, isExact) {
  const titles = new Map(); // title -> number of items with it
  for (const row of rows) titles.set(row.name, (titles.get(row.name) ?? 0) + 1);
  const isShared = row => titles.get(row.name) > 1;
  return [
    { name: 'name', label: t('items.question'), text: true, cell: row => itemCell(row, questions, isShared(row)) },
    { name: 'right', label: t('column.right'), cell: row => rightCell(row, isExact) },
    ...(isJudged(rows) ? [{ name: 'doubt', label: t('items.strong'), text: true, cell: strongCell }] : []),
    ...(rows.some(row => row.help) ? [{ name: 'help', label: t('items.help'), cell: helpCell }] : []),
  ];
}

function itemCell(row, questions, isTitleShared) {
  const isNow = isOpen(row, questions);
  const title = questions.has('answers')
    ? h('a', { class: 'opens', href: changed({ item: isNow ? '' : row.item }), 'aria-expanded': String(isNow), 'data-keep-focus': `item-${row.item}`, onclick: goOn }, row.name)
    : row.name;
  const points = row.points.map((point, place) => (questions.has('point') ? h('a', { href: link('point', { point }) }, row.point_names[place]) : row.point_names[place]));
  return [
    title,
    isTitleShared && h('span', { class: 'unit' }, row.item),
    points.length > 0 && h('span', { class: 'unit' }, listed(points)),
  ];
}

function rightCell(row, isExact) {
  const about = isExact ? plural('school.students', row.students) : plural('school.about_students', row.students);
  const students = row.students !== null && h('span', { class: 'unit' }, about);
  if (row.right === null) return [h('span', { class: 'quiet' }, t('school.hidden')), students];
  return [bar(row.right, null, null, row.noise), students];
}

/** Say whether students who do well at the other questions do better at this one. */
function strongCell({ discrimination }) {
  if (discrimination === null) return h('span', { class: 'quiet' }, t('items_strong.unknown'));
  const exact = h('span', { class: 'quiet' }, ' (', value(discrimination, correlation(discrimination)), ')');
  if (discrimination < DOUBTFUL) return [h('span', { class: 'doubt' }, t('items_strong.no')), exact];
  return [t(discrimination < CLEAR ? 'items_strong.little' : 'items_strong.clear'), exact];
}

const correlation = exact => new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(exact);

const helpCell = ({ help }) => help && [value(help.used), h('span', { class: 'of' }, t('missing.of', { n: number(help.known) }))];

/** Return the answers to one question, the most frequent first. */
function opened(row, asked, questions) {
  return block(t('items.answers', { item: row.name }), () => answersTo(row, asked, questions), { class: 'inside', 'data-question': 'answers' });
}

async function answersTo(row, asked, questions) {
  const [answer, roster] = await Promise.all([
    ask('/answers', { ...asked, item: row.item }),
    questions.has('roster') ? ask('/roster', asked) : null,
  ]);
  const names = new Map((roster?.rows ?? []).map(each => [each.student, each.name ?? each.student]));
  const lines = of => h('ul', { class: 'answers' }, of.map(each => oneAnswer(each, names, questions)));
  const first = answer.rows.slice(0, MOST_ANSWERS);
  const others = answer.rows.slice(MOST_ANSWERS);
  return [
    first.length > 0 ? lines(first) : h('p', { class: 'none' }, t('items.no_answers')),
    others.length > 0 && folded(plural('items.others', others.length), lines(others)),
    questions.has('records') && h('p', { class: 'no-print' }, h('a', { class: 'button', href: recordsLink(row.evidence) }, t('items.records'))),
    how('answers', answer, { folds: true }),
  ];
}

function levelOf(right) {
  if (right === 0) return 'wrong';
  return right === 1 ? 'right' : 'partly';
}

function oneAnswer(row, names, questions) {
  const level = levelOf(row.right);
  const people = row.who.map(student => ({ student, name: names.get(student) ?? student }));
  const who = questions.has('student') ? peopleLinks(people) : listed(people.map(each => each.name));
  return h('li', {},
    h('p', { class: 'given' }, h('i', { class: `dot ${level}`, 'aria-hidden': 'true' }), h('q', {}, row.response), ' ', h('span', { class: 'quiet' }, t(`items_level.${level}`))),
    h('p', { class: 'many' }, bar(row.share), ' ', h('span', { class: 'of' }, value(row.students), t('missing.of', { n: number(row.answered) }))),
    folded(plural('items.who', people.length), h('p', {}, who)));
}
