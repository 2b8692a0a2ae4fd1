// @ts-check
// The records behind a number.

import { ask } from '../api.js';
import { block, h, how, table, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { knownShare, moment, plural, recordName, share, t, told } from '../words.js';

const KINDS = ['answers', 'messages', 'posts', 'progress', 'texts']; // attempts and mistakes, unless another is asked for
const STEP = 200; // what the API gives without a limit
const MOST = 5000; // what it gives at most
const OLDER = 'older records: ask for a shorter time, or raise `limit`'; // how the API calls records that are not in the answer

export function records({ asked }) {
  const { student, point, item, misconception, of, thread, kind = KINDS[0], limit } = state();
  const parameters = { ...asked, student, point, item, misconception, of, thread, kind, limit: Math.min(Number(limit) || STEP, MOST) };
  const about = Object.entries({ student: student ?? of, point, item, misconception, thread }).filter(([, each]) => each);
  const group = h('strong', {}, misconception);
  return [
    h('h1', {}, t('records.title')),
    h('p', {}, about.map(([name, each], place) => [place ? ' · ' : '', `${t(`column.${name}`)} `, name === 'misconception' ? group : h('strong', {}, name === 'thread' ? recordName(each) : each)]),
      about.length > 0 && [' ', h('a', { class: 'no-print', href: changed({ student: '', point: '', item: '', misconception: '', of: '', thread: '' }) }, t('records.all'))]),
    kinds(kind, student ?? of),
    block(t(`records_of.${kind}`), async () => {
      const answer = await ask('/records', parameters);
      group.textContent = answer.rows.find(row => row.what_went_wrong)?.what_went_wrong ?? misconception;
      const more = OLDER in answer.left_out && parameters.limit < MOST;
      return [recordsTable(answer.rows, kind), more && h('p', {}, h('a', { href: changed({ limit: parameters.limit * 5 }) }, t('records.more'))), how('records', answer)];
    }, { 'data-question': 'records' }),
  ];
}

/** Return the choice between the kinds of records, of the same student. A message is sought by who is in it. */
function kinds(kind, who) {
  const chosen = wanted => ({ kind: wanted === KINDS[0] ? '' : wanted, point: '', item: '', misconception: '', thread: '', limit: '', ...(wanted === 'messages' ? { student: '', of: who } : { student: who, of: '' }) });
  const pick = h('select', { name: 'kind', 'data-keep-focus': 'kind', onchange: () => { location.hash = changed(chosen(pick.value)); } },
    KINDS.map(each => h('option', { value: each, selected: each === kind }, t(`records_of.${each}`))));
  return h('p', { class: 'search no-print' }, h('label', {}, `${t('column.kind')} `, pick));
}

/** Return a few records where there is no room for a table. */
export function recordsList(rows) {
  return h('ul', { class: 'latest' }, rows.map(row => h('li', {},
    h('p', { class: 'note' }, `${moment(row.at)} · `, h('a', { href: link('student', { student: row.student }) }, row.student), ` · ${told('kind', row.kind)}`, row.outcome !== null && [' ', value(row.outcome, share(row.outcome / 1000))]),
    row.question && h('p', {}, row.question), row.text && h('p', {}, h('q', {}, row.text)))));
}

/** Return records as a table. Those of one student do not name the student in each row. */
export function recordsTable(rows, kind = KINDS[0], { ofOne = false } = {}) {
  const person = name => ({ name, label: t(`column.${name}`), text: true, cell: row => (row[name] ? h('a', { href: link('student', { student: row[name] }) }, row[name]) : '–') });
  const at = { name: 'at', label: t('column.at'), text: true, cell: row => h('time', {}, moment(row.at)) };
  const columns = {
    answers: [at, ...(ofOne ? [] : [person('student')]),
      { name: 'kind', label: t('column.kind'), text: true, cell: row => told('kind', row.kind) },
      { name: 'outcome', label: t('column.outcome'), cell: row => value(row.outcome, share(row.outcome === null ? null : row.outcome / 1000)) },
      { name: 'question', label: t('column.question'), text: true, cell: row => row.question ?? row.item ?? '–' },
      { name: 'text', label: t('column.text'), text: true, cell: row => row.text ?? '–' },
      ...(rows.some(row => row.what_went_wrong) ? [{ name: 'what_went_wrong', label: t('column.what_went_wrong'), text: true, cell: row => row.what_went_wrong ?? '–' }] : [])],
    messages: [at, person('student'), person('partner'), { name: 'text', label: t('records.message'), text: true, cell: row => row.text ?? '–' }],
    posts: [at, person('student'),
      { name: 'thread', label: t('column.thread'), text: true, cell: row => (row.thread ? h('a', { href: changed({ thread: row.thread }), title: t('records.thread_alone') }, recordName(row.thread)) : '–') },
      { name: 'question', label: t('records.title_of_post'), text: true, cell: row => row.question ?? '–' },
      { name: 'text', label: t('records.post'), text: true, cell: row => row.text ?? '–' }],
    progress: [at, person('student'), { name: 'progress', label: t('column.progress'), cell: row => value(row.progress, knownShare(row.progress === null ? null : row.progress / 100)) }],
    texts: [at, { name: 'question', label: t('records.title_of_text'), text: true, cell: row => row.question ?? recordName(row.record) }],
  };
  return table(plural('records.caption', rows.length), columns[kind] ?? columns.answers, rows);
}
