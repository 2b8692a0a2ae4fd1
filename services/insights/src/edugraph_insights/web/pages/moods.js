// @ts-check
// Which mood is in the texts, week by week and topic by topic? An analyser read it, so each figure says of how many texts it is.

import { ask } from '../api.js';
import { bar, folded, h, hiddenRows, how, table, value } from '../parts.js';
import { sparkLine } from '../drawings.js';
import { link } from '../state.js';
import { weekOf } from '../times.js';
import { dayInWords, number, plural, sentences, share, t } from '../words.js';

const MOST_TOPICS = 8;
const WEEKS = 12;

/** Return the moods of a course, of a group, or of the one `student` of these parameters. */
export async function moods(asked, questions) {
  const answer = await ask('/mood', asked);
  const whole = answer.rows.find(row => !row.week && !row.topic);
  const weeks = answer.rows.filter(row => row.week && !row.topic);
  const topics = answer.rows.filter(row => !row.week && row.topic);
  topics.sort((a, b) => negativeTexts(b) - negativeTexts(a) || b.negative - a.negative);
  const unread = answer.left_out['texts without a mood'] ?? 0;
  return [
    h('p', { class: whole ? 'lead' : 'none' }, whole ? inWords(whole, answer.exact) : t('moods.none')),
    whole && h('p', { class: 'note' }, sentences([t('moods.read'), unread > 0 && plural('moods.unread', unread)])),
    weeks.length > 1 && drawing(weeks.filter(row => row.negative !== null).slice(-WEEKS)),
    topics.length > 0 && table(t('moods.topics'), columnsOf('topic', row => row.name), topics, { most: MOST_TOPICS, hidden: hiddenRows(answer) }),
    weeks.length > 0 && folded(plural('moods.weeks', weeks.length), weekTable(weeks, answer, questions)),
    how('mood', answer, { folds: true }),
  ];
}

/** Return the number of negative texts of a row, or 0 where the share is not shown. */
const negativeTexts = row => Math.round((row.negative ?? 0) * (row.texts ?? 0));

/** Say how many texts are negative. A number with noise is said as a share, since it counts nothing exactly. */
function inWords(row, isExact) {
  if (isExact) return sentences([plural('moods.negative', negativeTexts(row), { of: number(row.texts) }), plural('moods.students', row.students)]);
  return sentences([
    row.negative === null ? t('moods.hidden') : t('moods.share', { share: share(row.negative), noise: share(row.noise) }),
    row.students !== null && plural('school.about_students', row.students),
  ]);
}

function drawing(weeks) {
  if (weeks.length < 2) return null;
  const first = weeks[0];
  const last = weeks.at(-1);
  const line = sparkLine(plural('moods.spark', weeks.length, { first: share(first.negative), last: share(last.negative) }), weeks.map(row => row.negative));
  line.classList.add('neutral'); // green and orange mean right and wrong answers
  return [line, h('p', { class: 'ends note' }, h('span', {}, dayInWords(first.week)), h('span', {}, dayInWords(last.week)))];
}

function columnsOf(name, heading, behind = _row => null) {
  return [
    { name, label: t(`moods_column.${name}`), text: true, cell: heading },
    { name: 'negative', label: t('moods_column.negative'), cell: row => bar(row.negative, null, null, row.noise) },
    { name: 'texts', label: t('moods_column.texts'), cell: row => value(row.texts, number(row.texts), behind(row), dayInWords(row.week)) },
    { name: 'students', label: t('column.students'), cell: row => value(row.students) },
  ];
}

function weekTable(weeks, answer, questions) {
  const { student } = answer.parameters;
  const mayOpen = answer.exact && questions.has('records');
  const messages = row => (mayOpen ? link('records', { kind: 'messages', ...(student && { student }), ...weekOf(row.week) }) : null);
  return table(t('moods.by_week'), columnsOf('week', row => h('time', {}, dayInWords(row.week)), messages), weeks, { hidden: hiddenRows(answer) });
}
