// @ts-check
// Lists of students that somebody made: saved views of the kind `list`. One of them can be chosen in the head of each page.

import { json, write } from './api.js';
import { h, refusal } from './parts.js';
import { changed, state } from './state.js';
import { t } from './words.js';

const PATH = '/v1/insights/views';

/** Return what makes a list of the chosen students, or adds them to the list of this name. `chosen` returns their ids. */
export function listOfChosen(chosen) {
  const input = h('input', { name: 'list', required: true, maxlength: 80, pattern: '.*\\S.*', 'aria-label': t('lists.name'), placeholder: t('lists.name') });
  const said = h('span', { role: 'status' });
  const submit = sent => async event => {
    event?.preventDefault();
    said.replaceChildren();
    try {
      show(await sent());
    } catch (problem) {
      said.replaceChildren(refusal(problem));
    }
  };
  return h('span', { class: 'lists no-print' },
    h('form', { onsubmit: submit(() => keep(input.value.trim(), chosen())) }, input, ' ', h('button', { type: 'submit' }, t('lists.keep'))),
    state().list && h('button', { type: 'button', onclick: submit(() => takeOut(state().list, chosen())) }, t('lists.take_out')),
    said);
}

async function listsOfCourse() {
  const { views } = await json('GET', PATH);
  return views.filter(each => each.state.kind === 'list' && each.state.values.course === state().course);
}

/** Keep students under a name, and return the id of the list. Raises Problem. */
async function keep(name, students) {
  const before = (await listsOfCourse()).find(each => each.name === name);
  const all = [...new Set([...(before?.state.values.students ?? []), ...students])];
  const body = { name, state: { kind: 'list', name: 'students', values: { course: state().course, students: all } } };
  const kept = await (before ? write('PUT', before.links.self, body) : write('POST', PATH, body));
  return kept.id;
}

/** Take students out of a list, and return its id, or '' where nobody is left and it is deleted. Raises Problem. */
async function takeOut(id, students) {
  const list = (await listsOfCourse()).find(each => each.id === id);
  if (!list) return '';
  const rest = list.state.values.students.filter(each => !students.includes(each));
  if (rest.length === 0) {
    await write('DELETE', list.links.self);
    return '';
  }
  const values = { ...list.state.values, students: rest };
  await write('PUT', list.links.self, { name: list.name, state: { ...list.state, values } });
  return id;
}

/** Show the page with this list; the head asks for the lists again. */
function show(id) {
  document.dispatchEvent(new CustomEvent('lists', { detail: changed({ list: id }) }));
}
