// @ts-check
// Questions in words: a model chooses one of the typed questions, and the answer is that of the typed question.

import { Problem, ask, askIn, write } from './api.js';
import { h, hiddenRows, how, recordsLink, refusal, table } from './parts.js';
import { state } from './state.js';
import { done } from './tasks.js';
import { language, listed, number, t, told } from './words.js';

const LONGEST_WORDS = 500;
const REASONS = new Set(['unanswerable', 'person', 'near', 'ended', 'budget', 'provider', 'unreadable']);
const DECIMALS = 100; // shares and estimates are shown to two places

/** Return the field for a question in words, with what was understood and the answer below it. */
export function wordsForm() {
  const text = h('input', { type: 'search', name: 'words', maxlength: LONGEST_WORDS, required: true, autocomplete: 'off', placeholder: t('words.example'), 'data-keep-focus': 'words' });
  const send = h('button', { type: 'submit' }, t('words.ask'));
  const shown = h('div', { class: 'understood', 'aria-live': 'polite' });
  const form = h('form', { class: 'in-words no-print' }, h('label', {}, h('span', {}, t('words.title')), text), send);
  form.addEventListener('submit', async event => {
    event.preventDefault();
    send.disabled = true;
    shown.replaceChildren(h('p', { class: 'note' }, t('words.waits')));
    try {
      await answered({ text: text.value.trim(), course_id: state().course, language }, shown);
    } catch (problem) {
      shown.replaceChildren(refusal(problem));
    } finally {
      send.disabled = false;
    }
  });
  return h('section', { class: 'words', 'aria-label': t('words.title') }, form, shown);
}

/** Let a question be chosen for a text, and show it with its answer in `shown`. Raises Problem. */
async function answered(asked, shown) {
  const basis = await write('POST', '/v1/insights/words', asked);
  const chosen = await done(write('POST', '/v1/questions', basis));
  if (!['chosen', 'refused', 'failed'].includes(chosen.state)) throw new Problem(0, 'broken', '');
  const resolve = (question, parameters) => resolved({ ...asked, question, parameters }, basis, shown);
  if (chosen.state === 'chosen') {
    await resolve(chosen.question, chosen.parameters);
    if (chosen.model === null) shown.append(h('p', { class: 'note' }, t('words.offline')));
    return;
  }
  const reason = REASONS.has(chosen.reason) ? chosen.reason : 'unreadable';
  shown.replaceChildren(h('p', { class: 'none', 'data-reason': reason }, t(`words_reason.${reason}`)), otherQuestion(basis, '', resolve, shown));
}

/** Show the typed question of a choice, what it is about, and its answer or what has to be chosen first. Raises Problem. */
async function resolved(choice, basis, shown) {
  const found = await write('POST', '/v1/insights/words/choices', choice);
  const { course: _course, ...others } = Object.fromEntries(found.parameters.map(each => [each.parameter, each.name]));
  const about = listed(Object.values(others));
  const place = h('div', { class: 'answer' });
  // Another question may not have all parameters of this one, so it begins with those of the text.
  const again = question => resolved({ ...choice, question, parameters: kept(question, choice.parameters, basis) }, basis, shown);
  shown.replaceChildren(
    h('p', { 'data-understood': found.question }, `${t('words.understood')} `, h('strong', {}, found.title), about && ` (${about})`),
    otherQuestion(basis, found.question, again, shown),
    place);
  const given = Object.fromEntries(found.parameters.map(each => [each.parameter, each.id]));
  if (found.ask !== null) {
    await answer(found, queryOf(found.ask), place);
    return;
  }
  place.append(...candidates(found, given, place));
}

/** Return those parameters of a choice that another question has. */
function kept(name, parameters, basis) {
  const names = new Set(basis.questions.find(each => each.name === name)?.parameters.map(each => each.name));
  return Object.fromEntries(Object.entries(parameters).filter(([each]) => names.has(each)));
}

/** Return the choice of another question. It says why if that cannot be asked. */
function otherQuestion(basis, name, resolve, shown) {
  const pick = h('select', { name: 'question', 'data-keep-focus': 'words-question' },
    !name && h('option', { value: '' }, t('words.choose')),
    basis.questions.map(each => h('option', { value: each.name, selected: each.name === name }, each.title)));
  pick.addEventListener('change', async () => {
    try {
      await resolve(pick.value, {});
    } catch (problem) {
      shown.append(refusal(problem));
    }
  });
  return h('p', { class: 'no-print change' }, h('label', {}, h('span', {}, t('words.change')), pick));
}

/** Return a choice for each parameter that is ambiguous or missing. The answer comes once all are chosen. */
function candidates(found, given, place) {
  const names = Object.keys(found.candidates);
  const result = h('div', {});
  const picks = names.map(name => {
    const pick = h('select', { name }, h('option', { value: '' }, t('words.choose')), found.candidates[name].map(each => h('option', { value: each.id }, each.name === each.id ? each.id : `${each.name} (${each.id})`)));
    pick.addEventListener('change', async () => {
      if (pick.value) given[name] = pick.value;
      else delete given[name];
      if (names.every(each => given[each])) await answer(found, { ...given, language }, result);
    });
    return h('p', { class: 'change' }, h('label', {}, h('span', {}, told('column', name)), pick));
  });
  place.replaceChildren(h('p', { class: 'note' }, t('words.choose_first')), ...picks);
  return [result];
}

const queryOf = address => Object.fromEntries(new URLSearchParams(address.split('?')[1]));

/** Show the answer of a typed question as a table with the links to its records. A problem is shown in its place. */
async function answer(found, parameters, place) {
  try {
    const [said, names] = await Promise.all([ask(`/${found.question}`, parameters), headings(found.question, parameters)]);
    place.replaceChildren(...rowsOf(found, said, names));
  } catch (problem) {
    place.replaceChildren(refusal(problem));
  }
}

function rowsOf(found, said, names) {
  const isNamed = said.rows.every(row => row.point === row.name); // then the id of a point says nothing more
  const left = new Set(isNamed ? ['evidence', 'point'] : ['evidence']);
  const fields = Object.keys(said.rows[0] ?? {}).filter(name => !left.has(name) && said.rows.some(row => isShown(row[name])));
  const columns = fields.map(name => ({ name, label: names.get(name) ?? name.replaceAll('_', ' '), text: said.rows.some(row => typeof row[name] !== 'number' && row[name] !== null), cell: row => inWords(row[name]) }));
  if (said.rows.some(row => row.evidence)) {
    columns.push({ name: 'evidence', label: t('words.records'), text: true, cell: row => (row.evidence ? h('a', { href: recordsLink(row.evidence) }, t('words.records')) : '') });
  }
  const counts = columns.length > 0 ? columns : [{ name: 'none', label: found.title, text: true, cell: () => '' }];
  return [table(found.title, counts, said.rows, { hidden: hiddenRows(said) }), how(found.question, said)].flat().filter(Boolean);
}

/** Return the headings of an answer in Chinese by the names of its fields. In English the names themselves are shown. */
async function headings(question, parameters) {
  if (language === 'en') return new Map();
  const [line] = (await askIn('text/csv', `/${question}`, parameters)).replace(/^\uFEFF/, '').split('\r\n', 1);
  const [english] = (await askIn('text/csv', `/${question}`, { ...parameters, language: 'en' })).replace(/^\uFEFF/, '').split('\r\n', 1);
  const names = line.split(',');
  return new Map(english.split(',').map((name, place) => [name, names[place]]));
}

const isShown = cell => cell !== null && cell !== '' && !(Array.isArray(cell) && cell.length === 0);

/** Return a value of a row in words: a number to two places, a list with commas, and a dash for nothing. */
function inWords(cell) {
  if (!isShown(cell)) return '–';
  if (typeof cell === 'number') return Number.isInteger(cell) ? number(cell) : `${Math.round(cell * DECIMALS) / DECIMALS}`;
  if (typeof cell === 'boolean') return cell ? '✓' : '–';
  if (Array.isArray(cell)) return listed(cell.map(each => `${inWords(each)}`));
  if (typeof cell === 'object') return listed(Object.values(cell).filter(isShown).map(each => `${inWords(each)}`));
  return `${cell}`;
}
