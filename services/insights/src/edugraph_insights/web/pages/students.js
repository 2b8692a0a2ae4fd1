// Whom should I look at first? Every student of the course or group: who needs help and why, and mistakes that nobody
// has answered.

import { ask } from '../api.js';
import { bar, block, h, how, recordsLink, searchInput, table, value } from '../parts.js';
import { link, state } from '../state.js';
import { day, knownShare, number, t, told } from '../words.js';

export function students({ asked, questions }) {
  return [h('h1', {}, t('students.title')), block(t('students.list'), () => list(asked, questions), { 'data-question': 'roster' })];
}

async function list(asked, questions) {
  const [roster, attention, help] = await Promise.all([
    ask('/roster', asked),
    questions.has('attention') ? ask('/attention', asked) : null,
    questions.has('needs-help') ? ask('/needs-help', asked) : null,
  ]);
  // In the order of the answer: who needs help most comes first.
  const helped = new Map((help?.rows ?? []).map((row, place) => [row.student, { ...row, place }]));
  const cared = new Map((attention?.rows ?? []).map(row => [row.student, row]));
  const all = roster.rows.map(row => ({ ...row, help: helped.get(row.student), unanswered: cared.get(row.student)?.unanswered ?? 0, hours: cared.get(row.student)?.median_hours_to_contact ?? null }));
  const sought = (state().find ?? '').trim().toLowerCase();
  const rows = all.filter(row => `${row.name ?? ''} ${row.student}`.toLowerCase().includes(sought));
  const who = row => row.name ?? row.student;
  return [
    search(all.length, rows.length),
    table(t('students.caption', { n: rows.length, of: all.length }), [
      { name: 'name', label: t('column.student'), text: true, key: who, cell: row => questions.has('student') ? h('a', { href: link('student', { student: row.student }) }, who(row)) : who(row) },
      ...(help ? [
        { name: 'help', label: t('column.help'), text: true, key: row => row.help?.place, cell: row => told('bucket', row.help?.bucket ?? '–') },
        { name: 'why', label: t('column.why'), text: true, prose: true, cell: row => why(row.help) },
      ] : []),
      ...(attention ? [{ name: 'unanswered', label: t('column.unanswered'), key: row => row.unanswered, cell: row => value(row.unanswered, number(row.unanswered), records(row, questions), who(row)) }] : []),
      { name: 'mistakes', label: t('column.mistakes'), key: row => row.mistakes, cell: row => value(row.mistakes, number(row.mistakes), records(row, questions), who(row)) },
      { name: 'right', label: t('column.right'), key: row => row.right, cell: row => bar(row.right, records(row, questions), who(row)) },
      { name: 'first_attempts', label: t('column.first_attempts'), key: row => row.first_attempts, cell: row => value(row.first_attempts, number(row.first_attempts), records(row, questions), who(row)) },
      { name: 'progress', label: t('column.progress'), key: row => row.progress, cell: row => value(row.progress, knownShare(row.progress === null ? null : row.progress / 100), questions.has('records') ? recordsLink(row.progress_evidence) : null, who(row)) },
      ...(attention ? [{ name: 'hours', label: t('column.hours'), key: row => row.hours, cell: row => value(row.hours, number(row.hours), records(row, questions), who(row)) }] : []),
      { name: 'last', label: t('column.last'), key: row => row.last, cell: row => h('time', {}, day(row.last)) },
    ], rows, { sort: help ? 'help' : '-unanswered' }),
    help && how('needs-help', help),
    how('roster', roster),
    attention && how('attention', attention),
  ];
}

/** Say why a student is in a bucket, with what stands behind each reason. */
function why(help) {
  if (!help?.reasons.length) return '–';
  const behind = { stuck: help.stuck_at, 'repeated mistakes': help.repeated, 'low mastery': help.low_at };
  const days = help.school_days_inactive === null ? t('reason.never') : number(help.school_days_inactive);
  return help.reasons.map(reason => t(`reason.${reason}`, { days, what: (behind[reason] ?? []).join(t('list.comma')) })).join(' · ');
}

const records = (row, questions) => (questions.has('records') ? recordsLink(row.evidence) : null);

function search(all, shown) {
  return h('p', { class: 'search no-print' }, h('label', {}, `${t('students.find')} `, searchInput({ 'aria-describedby': 'found' })), ' ', h('span', { id: 'found' }, t('students.found', { n: shown, of: all })));
}
