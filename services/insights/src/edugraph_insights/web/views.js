// @ts-check
// The views that somebody saved: under what names, opened by a link, renamed, deleted, and the present one saved.

import { json, write } from './api.js';
import { keepingFocus } from './focus.js';
import { h, refusal } from './parts.js';
import { address, changed, state } from './state.js';
import { plural, t } from './words.js';

const PATH = '/v1/insights/views';

/** Return the control. Nothing is asked before it is opened. */
export function savedViews() {
  const inside = h('div', { class: 'views-inside' });
  const summary = h('summary', { 'data-keep-focus': 'views' }, t('views.title'));
  const whole = h('details', { class: 'views no-print', ontoggle: () => { if (whole.open) fill(); } }, summary, inside);

  async function fill() {
    const parts = await list().catch(problem => [refusal(problem)]);
    keepingFocus(inside, () => inside.replaceChildren(...parts), () => summary);
  }

  async function list() {
    const { views, most } = await json('GET', PATH);
    return [
      views.length ? h('ul', {}, views.map(entry)) : h('p', { class: 'note' }, t('views.none')),
      views.length < most ? naming(t('views.save'), '', name => write('POST', PATH, { name, state: shown() })) : h('p', { class: 'note' }, t('views.full', { n: most })),
    ];
  }

  function entry(view) {
    const { kind, name, values } = view.state;
    const line = h('li', { 'data-view': view.id },
      // What a program saved is a question or a query, and no page shows it.
      shownBy[kind] ? h('a', { href: shownBy[kind](view), onclick: () => { whole.open = false; } }, view.name) : `${view.name} (${name})`,
      kind === 'list' && h('span', { class: 'note' }, ` ${plural('lists.of', values.students.length)}`), ' ',
      button(t('views.rename'), view, () => {
        const form = naming(t('views.rename'), view.name, next => write('PUT', view.links.self, { name: next, state: view.state }).then(() => changedLists(view, view.id)));
        line.replaceChildren(form);
        form.querySelector('input').focus();
      }), ' ',
      button(t('views.delete'), view, () => changing(write('DELETE', view.links.self).then(() => changedLists(view, '')))));
    return line;
  }

  const button = (label, view, onclick) => h('button', { type: 'button', class: 'plain', 'aria-label': `${label}: ${view.name}`, onclick }, label);

  function naming(label, before, save) {
    const input = h('input', { name: 'view', required: true, maxlength: 80, pattern: '.*\\S.*', value: before, 'aria-label': t('views.name') });
    return h('form', { onsubmit: event => { event.preventDefault(); changing(save(input.value)); } }, input, ' ', h('button', { type: 'submit' }, label));
  }

  const changing = sent => sent.then(fill, problem => inside.prepend(refusal(problem)));
  return whole;
}

// Where a saved view of each kind is shown.
const shownBy = {
  page: ({ state: { name, values } }) => address(name, { ...values, lang: state().lang }),
  list: ({ id, state: { values } }) => address('students', { course: values.course, list: id, lang: state().lang }),
};

/** Let the head ask for the lists again after one was renamed or deleted. A list that is deleted is chosen no more. */
function changedLists(view, id) {
  if (view.state.kind !== 'list') return;
  const isChosen = state().list === view.id;
  document.dispatchEvent(new CustomEvent('lists', { detail: isChosen && !id ? changed({ list: '' }) : '' }));
}

/** Return what is shown now, as it is saved. The language is the reader's, and no part of a view. */
function shown() {
  const { page, lang, ...values } = state();
  return { kind: 'page', name: page, values };
}
