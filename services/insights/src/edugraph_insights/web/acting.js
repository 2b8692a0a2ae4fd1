// @ts-check
// What a teacher does about a student: spoken with, a note, not before a day. Those who lead the student see it, and nobody else.

import { askIn, write } from './api.js';
import { h, refusal } from './parts.js';
import { state } from './state.js';
import { day, dayInWords, sentences, t } from './words.js';

const LONGEST_NOTE = 2000; // characters, as the gateway takes them
const LOOKS = 10; // at what is noted, until an action that was taken is there
const PAUSE_MS = 1500;

/** Return whether the caller may have actions to write: an action has a person as its author. */
export const mayAct = ({ questions, person }) => questions.has('actions') && Boolean(person);

/** Return a button that opens a form about a student. `written` is called once the action is in the graph. */
export function actionForm(student, name, written = () => {}) {
  const spoken = h('input', { type: 'checkbox', name: 'spoken' });
  const text = h('textarea', { name: 'text', rows: 3, maxlength: LONGEST_NOTE });
  const until = h('input', { type: 'date', name: 'not_until' });
  const save = h('button', { type: 'submit' }, t('act.save'));
  const said = h('div', { class: 'said', role: 'status' });
  // The gateway takes a content with the same key once, so a second click after a lost answer writes no second action.
  let sending = { content: '', key: '' };
  const form = h('form', {},
    h('label', { class: 'check' }, spoken, ` ${t('act.spoken', { who: name })}`),
    h('label', {}, t('act.text'), text),
    h('p', { class: 'note' }, t('act.who_sees', { who: name })),
    h('label', {}, t('act.until'), until),
    h('p', { class: 'save' }, save),
    said);
  form.addEventListener('submit', async event => {
    event.preventDefault();
    const given = { ...(spoken.checked ? { spoken: true } : {}), ...(text.value.trim() ? { text: text.value.trim() } : {}), ...(until.value ? { not_until: until.value } : {}) };
    if (!Object.keys(given).length) {
      said.textContent = t('act.nothing');
      return;
    }
    const content = JSON.stringify(given);
    if (content !== sending.content) sending = { content, key: randomKey() };
    save.disabled = true;
    said.textContent = t('act.sends');
    try {
      const job = await send({ student_id: student, course_id: state().course }, given, sending.key);
      sending = { content: '', key: '' };
      form.reset();
      said.textContent = t('act.taken');
      await untilWritten(student, job);
      said.textContent = t('act.written');
      written();
    } catch (problem) {
      said.replaceChildren(refusal(problem));
    } finally {
      save.disabled = false;
    }
  });
  return h('details', { class: 'act no-print' }, h('summary', { 'aria-label': t('act.open_for', { who: name }), 'data-keep-focus': `act-${student}` }, t('act.open')), form);
}

/** Send an action, and return its job. */
async function send(about, given, key) {
  await write('POST', '/v1/insights/action-permits', about);
  const accepted = await write('POST', '/v1/actions', { ...about, ...given }, { 'Idempotency-Key': key });
  return accepted.job_id;
}

const randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

/** Wait until the action of a job can be seen, for some seconds. It is safe with the gateway, also where this takes longer. */
async function untilWritten(student, job) {
  for (let looked = 0; looked < LOOKS; looked += 1) {
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
    const { rows } = await askIn('application/json', '/actions', { course: state().course, student });
    if (rows.some(row => row.record === `@page-actions/${job}`)) return;
  }
}

/** Return what was done about a student as sentences: who is put off, and when somebody last spoke with or wrote to them. */
export function doneAbout(rows) {
  const held = rows.find(row => row.holds);
  const contact = lastContact(rows);
  return sentences([
    held && t('act.held', { day: dayInWords(held.not_until) }),
    contact && t(contact.kind === 'message' ? 'act.wrote' : 'act.spoke', { day: day(contact.at), who: contact.author_name ?? contact.author ?? '' }),
  ]);
}

/** Return the last time that somebody spoke with the student or wrote to them; nothing if none is known. */
export function lastContact(rows) {
  const contacts = rows.filter(row => row.kind === 'message' || row.spoken);
  return contacts.sort((a, b) => Date.parse(b.at) - Date.parse(a.at))[0];
}

/** Return the actions about one student as a list, the latest first. */
export function actionList(rows) {
  const actions = rows.filter(row => row.kind === 'action');
  return h('ul', { class: 'lines' }, actions.map(row => h('li', { 'data-record': row.record },
    h('span', {}, [row.spoken && t('act.did_speak'), row.text, row.not_until && t('act.put_off', { day: dayInWords(row.not_until) })].filter(Boolean).join(' · ')),
    h('span', { class: 'note' }, t('act.by', { day: day(row.at), who: row.author_name ?? row.author })))));
}
