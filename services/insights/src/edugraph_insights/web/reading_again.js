// @ts-check
// Reading the texts of a course again that were read before its points were known: first the price, then a person agrees.

import { write } from './api.js';
import { actionButton, h, refusal } from './parts.js';
import { changed } from './state.js';
import { done } from './tasks.js';
import { plural, price, t } from './words.js';

const AGAIN = '/v1/analyses/again';

/** Return a block for each course whose points came with a job and that has texts which were read before. */
export function readBefore(job) {
  return Object.entries(job.read_before ?? {}).map(([course, texts]) => offer(course, texts));
}

/** Return how many texts of a course were read before, with a button that asks what it costs to read them again. */
function offer(course, texts) {
  const shown = h('div', { 'aria-live': 'polite' });
  const ask = button(t('again.price'), `again-price-${course}`, shown, async () => {
    shown.replaceChildren(h('p', { class: 'note' }, t('again.waits')));
    const found = await done(write('POST', `${AGAIN}/estimate?course=${encodeURIComponent(course)}`));
    shown.replaceChildren(...estimated(course, found, await costOf(found)));
  });
  return h('div', { class: 'again no-print', 'data-course': course }, h('p', {}, plural('again.before', texts, { course })), h('p', {}, ask), shown);
}

/** Return about what it costs to read the texts, or null without a price. Analyzers have estimated samples. */
async function costOf(found) {
  let cost = 0;
  for (const [kind, task] of Object.entries(found.estimates ?? {})) {
    const sample = await done({ task_id: task });
    if (typeof sample.cost !== 'number') return null;
    cost += sample.cost * found.texts[kind] / found.sampled[kind];
  }
  return cost;
}

/** Return the number of texts and their price, with the button that starts the reading if there is a text. */
function estimated(course, found, cost) {
  const texts = Object.values(found.texts ?? {}).reduce((sum, n) => sum + n, 0);
  const said = h('div', { 'aria-live': 'polite' });
  const start = () => button(t('again.start'), `again-start-${course}`, said, async () => {
    const sent = await write('POST', `${AGAIN}?course=${encodeURIComponent(course)}`);
    const started = await done(sent);
    if (Object.keys(started.texts ?? {}).length) location.hash = changed({ job: sent.job_id });
    else said.replaceChildren(h('p', { class: 'note' }, t('again.none')));
  });
  return [
    texts > 0 && h('p', {}, plural('again.texts', texts), ' ', h('strong', { class: 'cost' }, cost === null ? t('again.no_price') : t('again.cost', { cost: price(cost) }))),
    texts === 0 && h('p', { class: 'note' }, t('again.none')),
    found.not_kept > 0 && h('p', { class: 'note' }, plural('again.not_kept', found.not_kept)),
    found.left > 0 && h('p', { class: 'note' }, plural('again.left', found.left)),
    texts > 0 && h('p', { class: 'note' }, t('again.hint')),
    texts > 0 && h('p', {}, start()),
    said,
  ].filter(Boolean);
}

/** Return a button that does something once at a time, and shows in `place` why it could not. */
function button(words, name, place, what) {
  const failed = problem => place.replaceChildren(refusal(problem));
  return actionButton(words, what, failed, { 'data-keep-focus': name });
}
