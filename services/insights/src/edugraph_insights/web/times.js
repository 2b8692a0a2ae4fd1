// In which time is asked about: in a term, on some days of it, or both. Days are those of UTC, as weeks and terms are.

import { h } from './parts.js';
import { changed, state } from './state.js';
import { dayInWords, t } from './words.js';

const DAY_MS = 86_400_000;
const PAUSE_MS = 300; // in which somebody who moves a slider goes on
const NO_TRACE_DAYS = 365; // that can be chosen where nothing says when the course began

const dayOf = moment => new Date(moment).toISOString().slice(0, 10);

/** Return `from` and `to` of a question: of the term and of the chosen days, whichever is narrower. */
export function timesAsked(term) {
  const { since, until } = state();
  const [from, to] = [since && `${since}T00:00:00Z`, until && `${until}T23:59:59.999Z`];
  return {
    from: from && term?.starts && Date.parse(term.starts) > Date.parse(from) ? term.starts : from || term?.starts,
    to: to && term?.ends && Date.parse(term.ends) < Date.parse(to) ? term.ends : to || term?.ends,
  };
}

/** Return the state that shows a week alone, of the days that are chosen now. */
export function weekOf(monday) {
  const { since = '', until = '\uffff' } = state();
  const sunday = dayOf(Date.parse(monday) + 6 * DAY_MS);
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
  const last = Math.floor(Date.parse(trend.as_of) / DAY_MS);
  const first = trend.rows.length ? Date.parse(trend.rows[0].week) / DAY_MS : last - NO_TRACE_DAYS;
  if (!(first < last)) return null;
  const given = { since: first, until: last };
  for (const name of ['since', 'until']) {
    const day = Date.parse(state()[name]) / DAY_MS;
    if (Number.isInteger(day)) given[name] = Math.min(last, Math.max(first, day));
  }
  const said = h('output', { id: 'days' }, '');
  const slider = name => h('input', { type: 'range', name, min: first, max: last, value: given[name], 'data-keep-focus': `time-${name}`, 'aria-describedby': 'days' });
  const [since, until] = [slider('since'), slider('until')];
  const chosen = () => ({ since: Number(since.value) === first ? '' : dayOf(since.value * DAY_MS), until: Number(until.value) === last ? '' : dayOf(until.value * DAY_MS) });
  const say = () => {
    for (const each of [since, until]) each.setAttribute('aria-valuetext', dayInWords(dayOf(each.value * DAY_MS)));
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
