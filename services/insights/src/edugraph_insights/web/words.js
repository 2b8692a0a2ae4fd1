// @ts-check
// What the page says, in the language of the reader: words/LANGUAGE.json has every sentence, and nothing else has any.

import { json } from './api.js';

export const LANGUAGES = { en: 'English', zh: '中文' };
let words = {};
let spoken = ''; // the language of the words that are loaded
export let language = 'en';
let schoolZone; // IANA name of the time zone of the school; undefined until the page knows it

/** Whether there are words of any language yet. */
export const hasWords = () => spoken !== '';

/** Load a language; without one, that of the browser. Raises Problem; the language is then the one before. */
export async function speak(wanted) {
  const isSpoken = each => Object.hasOwn(LANGUAGES, each);
  const own = navigator.languages.map(each => each.slice(0, 2)).find(isSpoken) ?? 'en';
  const chosen = isSpoken(wanted) ? wanted : own;
  if (spoken !== chosen) words = await json('GET', `words/${chosen}.json`);
  spoken = chosen;
  language = chosen;
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : language;
}

/** Return a sentence with its {values}. */
export function t(key, values = {}) {
  if (!Object.hasOwn(words, key)) console.error(`no words for ${key} in ${language}`);
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** Return a sentence about a number, in the form that the language has for it: `one` or `other`. */
export function plural(key, n, values = {}) {
  const form = new Intl.PluralRules(locale()).select(n);
  return t(`${key}.${form}`, { n: number(n), ...values });
}

/** Return what stands between two sentences. */
export const space = () => (language === 'zh' ? '' : ' ');

/** Return sentences as one text. */
export const sentences = parts => parts.filter(Boolean).join(space());

/** Return elements or texts with the words between them that make a list of them: "A, B and C". */
export function listed(parts) {
  const places = parts.map((_, place) => String(place));
  const form = new Intl.ListFormat(locale(), { type: 'conjunction' });
  return form.formatToParts(places).map(({ type, value }) => (type === 'element' ? parts[Number(value)] : value));
}

/** Return the first few names as a list, and how many more there are. */
export function fewOf(names, most = 3) {
  const more = names.length - most;
  if (more <= 0) return listed(names).join('');
  return listed([...names.slice(0, most), plural('list.more', more)]).join('');
}

/** Return the words for something that the API calls by English ones; where there are none, the API's. */
export function told(kind, english) {
  return words[`${kind}.${english}`] ?? english;
}

const locale = () => (language === 'zh' ? 'zh-CN' : 'en-GB');
const nothing = '–';

export function number(value) {
  return value === null || value === undefined ? nothing : new Intl.NumberFormat(locale(), { maximumFractionDigits: 1 }).format(value);
}

/** What is paid for texts is often less than a hundredth of a unit. */
export function price(value) {
  return new Intl.NumberFormat(locale(), { maximumSignificantDigits: 3 }).format(value);
}

export function share(value) {
  /** @type {Intl.NumberFormatOptions} */
  const style = { style: 'percent', maximumFractionDigits: 0 };
  return value === null || value === undefined ? nothing : new Intl.NumberFormat(locale(), style).format(value);
}

/** Return a share that is part of a record as it is said: the graph does not know it where no record gives it. */
export const knownShare = value => (value === null ? t('value.unknown') : share(value));

const KEY = /^@([a-z0-9-]{1,40})\/(.*)$/s; // of a record or a thread: its source and the id that the source gave it

/** Return what people call a record or a thread: its id, and the source unless it is the default one. */
export function recordName(key) {
  const [, source, id] = KEY.exec(key) ?? [null, 'default', key];
  return source === 'default' ? id : t('record.of_source', { id, source });
}

/** Show moments from now on by the clocks of a time zone. */
export function showIn(zone) {
  schoolZone = zone;
}

/** Return the day of a moment, such as 2026-03-02, in the time zone of the school. */
export function dayOf(value) {
  const format = new Intl.DateTimeFormat('en', { timeZone: schoolZone, calendar: 'iso8601', year: 'numeric', month: '2-digit', day: '2-digit' });
  const parts = Object.fromEntries(format.formatToParts(new Date(value)).map(part => [part.type, part.value]));
  return `${parts.year}-${parts.month}-${parts.day}`;
}

/** Return the day of a moment as it is said, in the time zone of the school or in another one. */
export function day(value, timeZone = schoolZone) {
  return value ? new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeZone }).format(new Date(value)) : nothing;
}

/** Return a day, such as 2026-03-02, as it is said. What is no day stays as it is. */
export function dayInWords(value) {
  const at = new Date(`${value}T00:00:00Z`);
  return Number.isNaN(at.getTime()) ? value : new Intl.DateTimeFormat(locale(), { dateStyle: 'long', timeZone: 'UTC' }).format(at);
}

export function moment(value) {
  /** @type {Intl.DateTimeFormatOptions} */
  const style = { dateStyle: 'medium', timeStyle: 'short', timeZone: schoolZone };
  return value ? new Intl.DateTimeFormat(locale(), style).format(new Date(value)) : nothing;
}

export const sorter = () => new Intl.Collator(locale(), { numeric: true });
