// @ts-check
// The weekly mail about a course: a teacher asks for it here, changes its language, and ends it.

import { json, write } from './api.js';
import { keepingFocus } from './focus.js';
import { h, refusal } from './parts.js';
import { state } from './state.js';
import { language, t } from './words.js';

const PATH = '/v1/insights/digests';

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
    const own = digests.find(each => each.course_id === state().course);
    if (!offered) return [h('p', { class: 'note' }, t('weekly.not_offered'))];
    if (own) {
      return [
        h('p', {}, t('weekly.on', { address: address ?? '–', language: t(`language.${own.language}`) })),
        h('p', {},
          own.language !== language && button(t('weekly.change', { language: t(`language.${language}`) }), () => subscribe()),
          own.language !== language && ' ',
          button(t('weekly.end'), () => write('DELETE', own.links.self))),
      ];
    }
    if (!address) return [h('p', { class: 'note' }, t('weekly.no_address'))];
    return [
      h('p', {}, t('weekly.offer', { address })),
      h('p', {}, button(t('weekly.begin'), () => subscribe())),
    ];
  }

  const subscribe = () => write('POST', PATH, { course_id: state().course, language });
  const button = (label, act) => h('button', { type: 'button', onclick: () => changing(act()) }, label);
  const changing = sent => sent.then(fill, problem => inside.prepend(refusal(problem)));
  return h('section', { class: 'weekly no-print' }, h('h2', {}, t('weekly.title')), whole);
}
