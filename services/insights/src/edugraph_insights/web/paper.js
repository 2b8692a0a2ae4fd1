// @ts-check
// The page on paper: a head that says what the sheet is about, a note that says what is estimated, and parts that differ there.

import { viewSignal } from './lifetime.js';
import { h } from './parts.js';
import { state } from './state.js';
import { moment, t } from './words.js';

// The pages that end with a note on paper. The words of each name what it counts and what it estimates.
const WITH_NOTE = ['today', 'students', 'student', 'overview'];

/** Return whether the page is being printed. */
export const isOnPaper = () => document.documentElement.dataset.paper !== undefined;

/**
 * Replace an element by another one while the view is printed.
 * @param {HTMLElement} element
 * @param {() => HTMLElement} onPaper returns what stands in its place on paper
 */
export function onPaperInstead(element, onPaper) {
  addEventListener('beforeprint', () => {
    const other = onPaper();
    element.replaceWith(other);
    addEventListener('afterprint', () => other.replaceWith(element), { once: true });
  }, { signal: viewSignal() });
}

/** Return the head of a sheet: the school, what is asked about, and when it was printed. Only paper shows it, in place of the filters. */
export function paperHead(page, choices) {
  const now = state();
  const nameIn = (list, id) => list.find(each => each.id === id)?.name ?? id;
  // A student's page is about one student, whatever group is chosen.
  const group = page === 'student' ? '' : nameIn(choices.groups, now.group);
  const list = page === 'student' ? '' : nameIn(choices.lists, now.list);
  const about = [nameIn(choices.courses, now.course), group, list, nameIn(choices.terms, now.term)].filter(Boolean);
  const printed = h('p', { class: 'note' });
  const tell = () => { printed.textContent = t('paper.printed', { at: moment(new Date()), zone: choices.time_zone }); };
  tell();
  addEventListener('beforeprint', tell, { signal: viewSignal() });
  return h('div', { class: 'paper-head only-print' },
    choices.school_name && h('p', { class: 'school' }, choices.school_name),
    h('p', { class: 'about' }, about.join(' · ')),
    printed);
}

/** Return the note at the end of a sheet, or null for a page without one. Only paper shows it. */
export function paperNote(page, isOwn) {
  if (!WITH_NOTE.includes(page)) return null;
  const about = page === 'student' && isOwn ? 'mine' : page;
  return h('p', { class: 'paper-note only-print' }, t(`paper_note.${about}`));
}
