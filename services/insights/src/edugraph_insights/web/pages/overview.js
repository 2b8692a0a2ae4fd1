// @ts-check
// How does this course stand? For who answers for it, and for an analyst.

import { ask } from '../api.js';
import { wordsForm } from '../asking.js';
import { chart } from '../charts.js';
import { bar, block, colour, h, hiddenRows, how, recordsLink, table, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { day, knownShare, number, plural, share, t, told } from '../words.js';
import { trendTable } from './weeks.js';

const WEAKEST = 5;
const NO_DIFFERENCE = 'no difference can be told'; // how the API calls a verdict that is none

export function overview({ asked, questions, courses }) {
  const weak = () => ask('/weak-points', asked); // both blocks are given one answer, which is remembered
  return [
    h('h1', {}, t('overview.title')),
    wordsForm(),
    block(t('overview.standing'), () => standing(weak, asked, questions), { class: 'standing' }),
    block(t('overview.weakest'), () => weakest(weak), { 'data-question': 'weak-points' }),
    questions.has('difficulty') && courses.length > 1 && comparison(asked, questions, courses),
    questions.has('trend') && block(t('overview.trend'), () => trend(asked, questions), { 'data-question': 'trend' }),
    questions.has('trust') && block(t('overview.trust'), () => trust(asked, questions), { 'data-question': 'trust' }),
  ];
}

async function standing(weak, asked, questions) {
  const [answer, hard] = await Promise.all([weak(), questions.has('difficulty') ? ask('/difficulty', asked) : null]);
  const of = answer.of_how_many;
  const seesPersons = questions.has('roster');
  const card = (name, exact, shown, href) => h('div', { class: 'card', 'data-card': name }, h('dt', {}, t(`card.${name}`)), h('dd', {}, exact === undefined ? h('span', { class: 'hidden' }, t('table.hidden')) : value(exact, shown, href, t(`card.${name}`))));
  const course = hard?.rows[0];
  return [
    h('dl', { class: 'cards' },
      card('students', of.students, number(of.students), seesPersons ? link('students') : null),
      card('active', of['students with attempts'], number(of['students with attempts']), seesPersons ? link('students', { view: 'table', sort: '-first_attempts' }) : null),
      card('attempts', of['first attempts'], number(of['first attempts']), questions.has('records') ? link('records') : null),
      hard && card('right', course?.right, share(course?.right), questions.has('records') ? link('records') : null),
      hard && card('progress', course?.median_progress ?? (hard.exact ? null : undefined), knownShare(course?.median_progress), seesPersons ? link('students', { view: 'table', sort: 'progress' }) : null)),
    of.students === 0 && h('p', { class: 'left-out' }, t('overview.no_students')),
    hard && how('difficulty', hard),
  ];
}

async function weakest(weak) {
  const answer = await weak();
  const rows = answer.rows.slice(0, WEAKEST);
  return [
    table(t('overview.weakest_caption', { n: rows.length, of: answer.rows.length }), [
      { name: 'name', label: t('column.point'), text: true, cell: row => h('a', { href: link('map', { point: row.point }) }, row.name) },
      { name: 'wrong', label: t('column.wrong'), cell: row => bar(row.wrong, recordsLink(row.evidence), row.name, row.noise) },
      { name: 'low', label: t('column.wrong_at_least'), cell: row => value(row.wrong_at_least, share(row.wrong_at_least), recordsLink(row.evidence), row.name) },
      { name: 'students', label: t('column.students'), cell: row => value(row.students, number(row.students), recordsLink(row.evidence), row.name) },
      { name: 'first_attempts', label: t('column.first_attempts'), cell: row => value(row.first_attempts, number(row.first_attempts), recordsLink(row.evidence), row.name) },
    ], rows, { none: t('overview.no_points'), hidden: hiddenRows(answer) }),
    answer.rows.length > WEAKEST && h('p', { class: 'no-print' }, h('a', { href: link('map') }, t('overview.all_points', { n: answer.rows.length }))),
    how('weak-points', answer),
  ];
}

/** Return the block that compares the course with another one, which is chosen above the answer. */
function comparison(asked, questions, courses) {
  const others = courses.filter(each => each.id !== asked.course);
  const other = others.find(each => each.id === state().other);
  const pick = h('select', { name: 'other', 'data-keep-focus': 'other', onchange: () => { location.hash = changed({ other: pick.value }); } },
    h('option', { value: '' }, t('compare.none')), others.map(each => h('option', { value: each.id, selected: each === other }, each.name)));
  const whole = block(t('compare.title'), () => (other ? compared(asked, questions, other, courses) : h('p', { class: 'note' }, t('compare.choose'))), { 'data-part': 'compare', class: other ? null : 'no-print' });
  whole.querySelector('h2').after(h('p', { class: 'filters no-print' }, h('label', {}, `${t('compare.with')} `, pick)));
  return whole;
}

async function compared(asked, questions, other, courses) {
  const answer = await ask('/difficulty', { ...asked, other: other.id });
  const nameOf = id => courses.find(each => each.id === id)?.name ?? id;
  const row = answer.rows.find(each => each.course === asked.course);
  const mayOpen = questions.has('records');
  const open = each => (mayOpen ? recordsLink(each.evidence) : null);
  return [
    h('p', { class: 'lead' }, row ? inWords(row, answer.exact, { this: nameOf(asked.course), other: other.name }) : t('compare.hidden')),
    table(t('compare.caption'), [
      { name: 'course', label: t('filter.course'), text: true, cell: each => nameOf(each.course) },
      { name: 'right', label: t('card.right'), cell: each => bar(each.right, open(each), nameOf(each.course), each.noise) },
      { name: 'students', label: t('compare.students'), cell: each => value(each.students) },
      { name: 'both', label: t('compare.both'), cell: each => value(each.students_of_both) },
    ], answer.rows, { hidden: hiddenRows(answer) }),
    how('difficulty', answer, { folds: true }),
  ];
}

/** Say which course is harder for the students who took both, and by how much; or why that cannot be said. */
function inWords({ harder_by: by, verdict, students_of_both: both }, isExact, names) {
  if (by === null) return isExact ? plural('compare.too_few', both) : t('compare.hidden');
  const points = Math.round(100 * Math.abs(by));
  const [harder, easier] = by > 0 ? [names.this, names.other] : [names.other, names.this];
  const values = { harder, easier, points: number(points) };
  if (!isExact) return t('compare.about', values);
  if (verdict === NO_DIFFERENCE) return plural('compare.same', both, names);
  return plural('compare.harder', both, values);
}

async function trend(asked, questions) {
  const answer = await ask('/trend', asked);
  return [answer.rows.length > 1 && drawing(answer.rows), trendTable(answer, questions), how('trend', answer)];
}

/** Draw first attempts and unresolved mistakes as numbers, to the left, and the share right, to the right. */
function drawing(rows) {
  const kinds = { first_attempts: 'edge', unresolved: 'wrong', right: 'right' };
  const place = chart(t('trend.chart', { n: rows.length }), (axis, uPlot) => ({
    options: {
      height: 220,
      scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] }, share: { range: [0, 1] } },
      axes: [
        { ...axis, values: (_, seconds) => seconds.map(each => day(each * 1000, 'UTC')), space: 110 },
        { ...axis, size: 60 },
        { ...axis, scale: 'share', side: 1, grid: { show: false }, values: (_, shares) => shares.map(share), size: 60 },
      ],
      series: [
        {},
        { stroke: colour(kinds.first_attempts), fill: colour('level-none'), paths: uPlot.paths.bars({ size: [0.6, 40] }), points: { show: false } },
        { stroke: colour(kinds.unresolved), width: 2, dash: [6, 4], points: { show: true, size: 8, fill: colour(kinds.unresolved) } },
        { scale: 'share', stroke: colour(kinds.right), width: 2, spanGaps: true, points: { show: true, size: 8, fill: colour(kinds.right) } },
      ],
    },
    data: [rows.map(row => Date.parse(row.week) / 1000), ...Object.keys(kinds).map(name => rows.map(row => row[name]))],
  }));
  const legend = Object.keys(kinds).map(name => h('span', {}, h('i', { class: `dot trend-${name}`, 'aria-hidden': 'true' }), t(`trend_legend.${name}`)));
  return h('figure', {}, place, h('figcaption', { class: 'legend' }, legend));
}

/** Return the agreement with its 95 % interval: a share of few judged findings says little. */
function agreement(row) {
  if (row.agreement === null) return share(null);
  return `${share(row.agreement)} (${share(row.agreement_at_least)} – ${share(row.agreement_at_most)})`;
}

async function trust(asked, questions) {
  const answer = await ask('/trust', asked);
  const behind = row => (questions.has('records') ? recordsLink(row.evidence) : null);
  return [
    table(t('overview.trust_caption'), [
      { name: 'kind', label: t('column.kind'), text: true, cell: row => told('kind', row.kind) },
      { name: 'records', label: t('column.records'), cell: row => value(row.records, number(row.records), behind(row), told('kind', row.kind)) },
      ...['read', 'linked', 'unsure', 'with_evidence', 'reviewed'].map(name => ({ name, label: t(`column.${name}`), cell: row => value(row[name], share(row[name]), behind(row), told('kind', row.kind)) })),
      { name: 'agreement', label: t('column.agreement'), cell: row => value(row.agreement, agreement(row), behind(row), told('kind', row.kind)) },
      { name: 'judged', label: t('column.judged'), cell: row => value(row.judged, number(row.judged), behind(row), told('kind', row.kind)) },
    ], answer.rows, { hidden: hiddenRows(answer) }),
    how('trust', answer),
  ];
}
