// One student on one page: what is mastered, what is not, and the records of it in time.

import { ask } from '../api.js';
import { chart } from '../charts.js';
import { block, colour, h, how, recordsLink, sureEnough, table, value } from '../parts.js';
import { link, state } from '../state.js';
import { day, number, share, t, told } from '../words.js';
import { recordsTable } from './records.js';

const MOST_DRAWN = 1000; // records of the timeline
const HALF = 500; // thousandths

export function student({ asked, questions }) {
  const one = { ...asked, group: undefined, student: state().student };
  const title = h('h1', {}, t('student.title', { who: one.student ?? '' }));
  if (!one.student) return [h('h1', {}, t('student.none')), h('p', {}, h('a', { href: link('students') }, t('nav.students')))];
  title.done = ask('/roster', one).then(answer => { title.textContent = t('student.title', { who: answer.rows[0]?.name ?? one.student }); }, () => {});
  return [
    title,
    questions.has('course-map') && h('p', { class: 'no-print' }, h('a', { href: link('map', { student: one.student }) }, t('student.map'))),
    block(t('student.points'), () => points(one), { 'data-question': 'student' }),
    block(t('student.timeline'), () => timeline(one), { 'data-question': 'records' }),
  ];
}

async function points(one) {
  const answer = await ask('/student', one);
  return [
    table(t('student.points_caption', { n: answer.rows.length }), [
      { name: 'name', label: t('column.point'), text: true, key: row => row.name, cell: row => h('a', { href: link('map', { point: row.point, student: one.student }) }, row.name) },
      { name: 'state', label: t('column.state'), text: true, key: row => row.state, cell: row => h('span', { class: `state ${row.state.replaceAll(' ', '-')}` }, told('state', row.state)) },
      { name: 'probability', label: t('column.probability'), key: row => sureEnough(row.probability, row.low, row.high), cell: probability },
      { name: 'wrong', label: t('column.wrong_number'), key: row => row.wrong, cell: row => value(row.wrong, number(row.wrong), recordsLink(row.evidence), row.name) },
      { name: 'right', label: t('column.right_number'), key: row => row.right, cell: row => value(row.right, number(row.right), recordsLink(row.evidence), row.name) },
      { name: 'mistakes', label: t('column.mistakes'), key: row => row.mistakes, cell: row => value(row.mistakes, number(row.mistakes), recordsLink(row.evidence), row.name) },
      { name: 'last', label: t('column.last'), key: row => row.last, cell: row => h('time', {}, day(row.last)) },
    ], answer.rows, { sort: '-mistakes' }),
    how('student', answer),
  ];
}

/** Return the probability with its interval, or that there are too few attempts for one. */
function probability(row) {
  if (row.probability === null) return value(null, share(null));
  const exact = sureEnough(row.probability, row.low, row.high);
  if (exact === null) return value(null, t('value.too_few'));
  const shown = t('value.with_interval', { value: share(exact), low: share(row.low), high: share(row.high) });
  return value(exact, shown, recordsLink(row.evidence), row.name);
}

async function timeline(one) {
  const answer = await ask('/records', { ...one, limit: MOST_DRAWN });
  return [answer.rows.length > 1 && drawing(answer.rows), recordsTable(answer.rows), how('records', answer)];
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
