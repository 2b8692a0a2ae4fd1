// The records behind a number.

import { ask } from '../api.js';
import { block, h, how, table, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { moment, share, t, told } from '../words.js';

const STEP = 200; // what the API gives without a limit
const MOST = 5000; // what it gives at most

export function records({ asked }) {
  const { student, point, item, limit } = state();
  const parameters = { ...asked, student, point, item, limit: Math.min(Number(limit) || STEP, MOST) };
  const about = Object.entries({ student, point, item }).filter(([, each]) => each);
  return [
    h('h1', {}, t('records.title')),
    h('p', {}, about.map(([name, each], place) => [place ? ' · ' : '', `${t(`column.${name}`)} `, h('strong', {}, each)]),
      about.length > 0 && h('a', { class: 'no-print', href: changed({ student: '', point: '', item: '' }) }, t('records.all'))),
    block(t('records.list'), async () => {
      const answer = await ask('/records', parameters);
      const more = Object.keys(answer.left_out).length > 0 && parameters.limit < MOST;
      return [recordsTable(answer.rows), more && h('p', {}, h('a', { href: changed({ limit: parameters.limit * 5 }) }, t('records.more'))), how('records', answer)];
    }, { 'data-question': 'records' }),
  ];
}

/** Return a few records where there is no room for a table. */
export function recordsList(rows) {
  return h('ul', { class: 'latest' }, rows.map(row => h('li', {},
    h('p', { class: 'note' }, `${moment(row.at)} · `, h('a', { href: link('student', { student: row.student }) }, row.student), ` · ${told('kind', row.kind)}`, row.outcome !== null && [' ', value(row.outcome, share(row.outcome / 1000))]),
    row.question && h('p', {}, row.question), row.text && h('p', {}, h('q', {}, row.text)))));
}

export function recordsTable(rows) {
  return table(t('records.caption', { n: rows.length }), [
    { name: 'at', label: t('column.at'), text: true, cell: row => moment(row.at) },
    { name: 'student', label: t('column.student'), text: true, cell: row => h('a', { href: link('student', { student: row.student }) }, row.student) },
    { name: 'kind', label: t('column.kind'), text: true, cell: row => told('kind', row.kind) },
    { name: 'outcome', label: t('column.outcome'), cell: row => value(row.outcome, share(row.outcome === null ? null : row.outcome / 1000)) },
    { name: 'question', label: t('column.question'), text: true, cell: row => row.question ?? row.item ?? '–' },
    { name: 'text', label: t('column.text'), text: true, cell: row => row.text ?? '–' },
  ], rows);
}
