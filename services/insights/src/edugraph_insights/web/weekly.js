// @ts-check
// The weekly mails about a course, its saved views and lists of students: a teacher asks for them here, changes the language, and ends them.

import { json, write } from './api.js';
import { keepingFocus } from './focus.js';
import { h, refusal } from './parts.js';
import { state } from './state.js';
import { language, t } from './words.js';

const PATH = '/v1/insights/digests';
const VIEWS = '/v1/insights/views';

/** Return the control. Nothing is asked before it is opened. */
export function weeklyMail() {
  const inside = h('div', { class: 'weekly-inside', role: 'status' });
  const summary = h('summary', { 'data-keep-focus': 'weekly' }, t('weekly.open'));
  const whole = h('details', { class: 'folded', ontoggle: () => { if (whole.open) fill(); } }, summary, inside);

  async function fill() {
    const parts = await content().catch(problem => [refusal(problem)]);
    keepingFocus(inside, () => inside.replaceChildren(...parts), () => summary);
  }

  async function content() {
    const { offered, address, digests } = await json('GET', PATH);
    const ofCourse = digests.filter(each => each.course_id === state().course);
    const own = ofCourse.find(each => each.view_id === null);
    if (!offered) return [h('p', { class: 'note' }, t('weekly.not_offered'))];
    if (own) {
      return [
        h('p', {}, t('weekly.on', { address: address ?? '–', language: t(`language.${own.language}`) })),
        h('p', {},
          own.language !== language && button(t('weekly.change', { language: t(`language.${language}`) }), () => subscribe()),
          own.language !== language && ' ',
          button(t('weekly.end'), () => write('DELETE', own.links.self))),
        await ofViews(ofCourse),
      ].filter(Boolean);
    }
    if (!address) return [h('p', { class: 'note' }, t('weekly.no_address'))];
    return [
      h('p', {}, t('weekly.offer', { address })),
      h('p', {}, button(t('weekly.begin'), () => subscribe())),
      await ofViews(ofCourse),
    ].filter(Boolean);
  }

  /** Return the lists of students of this course and the saved views of a group of it, each with its own mail; null if there are none. */
  async function ofViews(digests) {
    const { views } = await json('GET', VIEWS);
    const ofGroups = views.filter(({ state: { kind, values } }) => values.course === state().course && (kind === 'list' || (values.group && !values.list)));
    if (ofGroups.length === 0) return null;
    return h('div', {}, h('p', {}, t('weekly.views')), h('ul', { class: 'lines' }, ofGroups.map(view => {
      const own = digests.find(each => each.view_id === view.id);
      const change = own
        ? button(t('weekly.end'), () => write('DELETE', own.links.self), view.name)
        : button(t('weekly.begin'), () => subscribe(view.id), view.name);
      return h('li', { 'data-view': view.id }, h('span', {}, view.name), ' ', own && h('span', { class: 'note' }, t('weekly.view_on')), change);
    })));
  }

  const subscribe = (view_id = null) => write('POST', PATH, { course_id: state().course, view_id, language });
  const button = (label, act, of = '') => h('button', { type: 'button', 'aria-label': of ? `${label}: ${of}` : null, onclick: () => changing(act()) }, label);
  const changing = sent => sent.then(fill, problem => inside.prepend(refusal(problem)));
  return h('section', { class: 'weekly no-print' }, h('h2', {}, t('weekly.title')), whole);
}
