// @ts-check
// Drafts by the language model: feedback to a student, or a summary of the class. They are shown to their reader and sent to nobody.

import { mayAct } from './acting.js';
import { write } from './api.js';
import { h, refusal } from './parts.js';
import { state } from './state.js';
import { done } from './tasks.js';
import { day, language, plural, t } from './words.js';

const PERMITS = '/v1/insights/draft-permits';
const DRAFTS = '/v1/drafts';

/** Return whether the caller may have drafts written. Teachers of a learning platform lack the scope for it. */
export const mayDraft = ({ questions, person, drafts }) => drafts && mayAct({ questions, person });

/** Return a button that opens the request for a draft: feedback to a student, or without one a summary of the class. */
export function draftForm(student = null, name = '') {
  const ask = h('button', { type: 'button' }, t('draft.write'));
  const shown = h('div', { class: 'draft', 'aria-live': 'polite' });
  ask.addEventListener('click', async () => {
    ask.disabled = true;
    shown.replaceChildren(h('p', { class: 'note' }, t('draft.waits')));
    try {
      const basis = await write('POST', PERMITS, { course_id: state().course, ...(student ? { student_id: student } : {}), language });
      shown.replaceChildren(...parts(basis, await done(write('POST', DRAFTS, basis))));
    } catch (problem) {
      shown.replaceChildren(refusal(problem));
    } finally {
      ask.disabled = false;
    }
  });
  const summary = h('summary', { 'data-keep-focus': `draft-${student ?? ''}` }, student ? t('draft.open_for', { who: name }) : t('draft.open'));
  return h('details', { class: 'act no-print' }, summary, h('p', { class: 'note' }, t('draft.hint')), h('p', { class: 'save' }, ask), shown);
}

/** Return the draft with its citations and the cited records. Without the scope personal, and after an erasure, it is empty. */
function parts(basis, draft) {
  if (!Array.isArray(draft.sentences)) return [h('p', { class: 'note' }, t('draft.hidden'))];
  if (draft.state !== 'draft') return [h('p', { class: 'note' }, t('draft.none')), draft.error && h('p', { lang: 'en' }, draft.error)].filter(Boolean);
  const cited = new Set(draft.records.map(record => record.number));
  return [
    h('p', {}, h('strong', {}, t('draft.mark'))),
    h('ul', { class: 'lines' }, draft.sentences.map(sentence => h('li', {}, `${sentence.text} ${sentence.cites.map(number => `[${number}]`).join('')}`))),
    h('h3', {}, t('draft.records')),
    h('ul', { class: 'lines' }, basis.records.filter(record => cited.has(record.number)).map(record => h('li', { 'data-record': record.record_id },
      [`[${record.number}] ${day(record.at)}`, nameOf(basis, record.student_id), record.question, record.text, ...record.error_types].filter(Boolean).join(' · ')))),
    draft.removed > 0 && h('p', { class: 'note' }, plural('draft.removed', draft.removed)),
  ].filter(Boolean);
}

const nameOf = (basis, id) => basis.students.find(student => student.student_id === id)?.name ?? id;
