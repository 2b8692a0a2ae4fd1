// What a teacher does about a student: spoken with, a note, not before a day. Those who lead the student see it, and nobody else.

import { askIn, write } from './api.js';
import { h, refusal } from './parts.js';
import { state } from './state.js';
import { day, dayInWords, dayOf, sentences, t } from './words.js';

const LONGEST_NOTE = 2000; // characters, as the gateway takes them
const LOOKS = 10; // at what is noted, until an action that was taken is there
const PAUSE_MS = 1500;
const DAY_MS = 86_400_000;

/** Return whether the caller may have actions to write: an action has a person as its author. */
export const mayAct = ({ questions, person }) => questions.has('actions') && Boolean(person);

/** Return a button that opens a form about a student. `written` is called once the action is in the graph. */
export function actionForm(student, name, written = () => {}) {
  const spoken = h('input', { type: 'checkbox', name: 'spoken' });
  const text = h('textarea', { name: 'text', rows: 3, maxlength: LONGEST_NOTE });
  const until = h('input', { type: 'date', name: 'not_until', min: dayOf(Date.now() + DAY_MS) });
  const save = h('button', { type: 'submit' }, t('act.save'));
  const said = h('div', { class: 'said', role: 'status' });
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
    save.disabled = true;
    said.textContent = t('act.sends');
    try {
      await send({ student_id: student, course_id: state().course }, given);
      form.reset();
      said.textContent = t('act.taken');
      await untilWritten(student, given);
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

async function send(about, given) {
  await write('POST', '/v1/insights/action-permits', about);
  await write('POST', '/v1/actions', { ...about, ...given });
}

/** Wait until the action can be seen, for some seconds. It is safe with the gateway, also where this takes longer. */
async function untilWritten(student, given) {
  for (let looked = 0; looked < LOOKS; looked += 1) {
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
    const { rows } = await askIn('application/json', '/actions', { course: state().course, student });
    const isThere = rows.some(row => row.kind === 'action' && (row.text ?? undefined) === given.text && row.spoken === Boolean(given.spoken) && (row.not_until ?? undefined) === given.not_until);
    if (isThere) return;
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
