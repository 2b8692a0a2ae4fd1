// @ts-check
// In which time is asked about: in a term, on some days of it, or both. Days are those of the school's time zone.

import { h } from './parts.js';
import { changed, state } from './state.js';
import { dayInWords, dayOf, t } from './words.js';

const DAY_MS = 86_400_000;
const PAUSE_MS = 300; // in which somebody who moves a slider goes on
const NO_TRACE_DAYS = 365; // that can be chosen where nothing says when the course began

/** Return a day such as 2026-03-02 from its number, and the other way round. Day 0 is 1970-01-01. */
const dayNumbered = number => new Date(number * DAY_MS).toISOString().slice(0, 10);
const numberOf = day => Date.parse(day) / DAY_MS;

/** Return `from` and `to` of a question: of the term and of the chosen days, whichever is narrower. */
export function timesAsked(term) {
  const { since, until } = state();
  const isSinceLater = since && (!term || dayOf(term.starts) < since);
  const isUntilEarlier = until && (!term || until < dayOf(term.ends));
  return { from: isSinceLater ? since : term?.starts, to: isUntilEarlier ? until : term?.ends };
}

/** Return the state that shows a week alone, of the days that are chosen now. */
export function weekOf(monday) {
  const { since = '', until = '\uffff' } = state();
  const sunday = dayNumbered(numberOf(monday) + 6);
  return { since: monday > since ? monday : since, until: sunday < until ? sunday : until };
}

/** Say which days count, with the way back to all; nothing where none are chosen. */
export function chosenDays() {
  const { since, until } = state();
  if (!since && !until) return null;
  return h('p', { class: 'note chosen-days' }, inWords(since, until), ' ', h('a', { class: 'no-print', href: changed({ since: '', until: '' }) }, t('time.all')));
}

function inWords(since, until) {
  const days = { from: dayInWords(since), until: dayInWords(until) };
  if (since && until) return t('time.between', days);
  return since ? t('time.since', days) : until ? t('time.until', days) : t('time.always');
}

/** Return two sliders, for the first and the last day that count, and a sentence that names them. */
export function timeSlider(trend) {
  const last = numberOf(dayOf(trend.as_of));
  const first = trend.rows.length ? numberOf(trend.rows[0].week) : last - NO_TRACE_DAYS;
  if (!(first < last)) return null;
  const given = { since: first, until: last };
  for (const name of ['since', 'until']) {
    const day = numberOf(state()[name]);
    if (Number.isInteger(day)) given[name] = Math.min(last, Math.max(first, day));
  }
  const said = h('output', { id: 'days' }, '');
  const slider = name => h('input', { type: 'range', name, min: first, max: last, value: given[name], 'data-keep-focus': `time-${name}`, 'aria-describedby': 'days' });
  const [since, until] = [slider('since'), slider('until')];
  const chosen = () => ({ since: Number(since.value) === first ? '' : dayNumbered(since.value), until: Number(until.value) === last ? '' : dayNumbered(until.value) });
  const say = () => {
    for (const each of [since, until]) each.setAttribute('aria-valuetext', dayInWords(dayNumbered(each.value)));
    said.textContent = inWords(chosen().since, chosen().until);
  };
  let waiting;
  const moved = (one, other, behind) => {
    if (behind()) other.value = one.value; // an interval has no end before its beginning
    say();
    clearTimeout(waiting);
    waiting = setTimeout(() => { location.hash = changed(chosen()); }, PAUSE_MS);
  };
  since.addEventListener('input', () => moved(since, until, () => Number(since.value) > Number(until.value)));
  until.addEventListener('input', () => moved(until, since, () => Number(since.value) > Number(until.value)));
  say();
  return h('p', { class: 'search times no-print' }, h('label', {}, `${t('time.first')} `, since), ' ', h('label', {}, `${t('time.last')} `, until), ' ', said);
}
