// @ts-check
// What all pages are made of. Everything is made as elements and text: nothing that a record says is read as HTML.

import { askIn, goOn, isPassing } from './api.js';
import { keepingFocus } from './focus.js';
import { endPictures, viewSignal } from './lifetime.js';
import { changed, link, state } from './state.js';
import { language, listed, moment, number, plural, share, sorter, t, told } from './words.js';

const MOST_ROWS = 300; // of a table, until all are asked for
const PAUSE_MS = 50; // in which somebody who types fast goes on
const FIRST_AGAIN_MS = 5000; // until a block that has no new answer asks again; each time twice as long
const LAST_AGAIN_MS = 60_000;
const WIDEST_SHOWN = 0.25; // half the width of the 95 % interval of an estimate

/** Return an element. A property that begins with `on` is a listener, one that is false or null is left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return a number as it is shown, with its exact value in the element; with an address it is a link. */
export function value(exact, shown = number(exact), href = null, label = null) {
  const data = h('data', { value: exact ?? '' }, shown);
  return href && exact !== null && exact !== undefined ? h('a', { href, 'aria-label': label && `${label}: ${shown}` }, data) : data;
}

/** Return an estimate, or null where its 95 % interval is too wide for it to be shown. */
export const sureEnough = (exact, low, high) => (exact !== null && (high - low) / 2 <= WIDEST_SHOWN ? exact : null);

/** Return what the API says in English alone: a reader of another language is told so. */
export const asEnglish = english => h('span', {}, language === 'en' ? '' : t('api.english'), h('span', { lang: 'en' }, english));

/** Return the colour that the theme of now has under a name. */
export const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Return the input of a search: a moment after the last letter its words stand in the state `find`. */
export function searchInput(properties = {}) {
  const input = h('input', { type: 'search', value: state().find ?? '', 'data-keep-focus': 'find', ...properties });
  let waiting;
  input.addEventListener('input', () => {
    clearTimeout(waiting);
    goOn();
    waiting = setTimeout(() => { location.hash = changed({ find: input.value }); }, PAUSE_MS);
  });
  return input;
}

/** Return a share as a number and a bar of that length. `noise` is its typical error if it is protected by noise. */
export function bar(exact, href = null, label = null, noise = null) {
  if (exact === null || exact === undefined) return value(exact, share(exact)); // a bar would be that of 0 %
  const filled = h('span', { class: 'filled' });
  filled.style.width = `${100 * exact}%`;
  return h('span', { class: 'with-bar' }, value(exact, share(exact), href, label), noise && h('span', { class: 'noise' }, ` ± ${share(noise)}`), h('span', { class: 'bar', 'aria-hidden': 'true' }, filled));
}

// The count of prerequisites that nobody accepted and too few texts say, in `left_out`.
const WAITING_NEEDS = 'prerequisites that too few texts say: accept or reject them in the review';
const HIDDEN_ROWS = [
  'rows of small groups',
  'rows without ten students with new records in one week, for 26 weeks',
  'rows of two courses whose students differed by few',
];

/** Return how many rows of an answer are not shown since they would say something of few students. */
export const hiddenRows = answer => HIDDEN_ROWS.reduce((sum, name) => sum + (answer.left_out[name] ?? 0), 0);

/** Return the page's address of the records that the API gives as evidence; `more` adds to it. */
export function recordsLink(evidence, more = {}) {
  if (!evidence) return null;
  const { from, to, ...about } = Object.fromEntries(new URLSearchParams(evidence.split('?')[1]));
  const ofAllDays = about.kind === 'progress' ? { term: '', since: '', until: '' } : {}; // it is the latest
  return link('records', { ...about, ...ofAllDays, ...more });
}

/** Return how an answer is computed, of how many, and what was left out. The counts may be folded, where the block has them in words. */
export function how(question, answer, { folds = false } = {}) {
  const named = counts => counts.map(([name, n], place) => [place ? ' · ' : '', `${told('count', name)} `, value(n)]);
  const of = Object.entries(answer.of_how_many);
  const left = Object.entries(answer.left_out);
  const counts = [
    of.length > 0 && h('p', {}, `${t('how.of')} `, named(of)),
    left.length > 0 && h('p', { class: 'left-out' }, `${t('how.left_out')} `, named(left)),
  ];
  return h('footer', { class: 'how' },
    !folds && counts,
    !answer.exact && h('p', { class: 'hidden-groups' }, t('how.hidden')),
    answer.outdated && h('p', { class: 'outdated', 'data-outdated': '' }, t('how.outdated', { at: moment(answer.as_of) })),
    h('details', {}, h('summary', {}, t('how.computed')), folds && counts, h('p', {}, told('computed', question) === question ? answer.computed_by : told('computed', question)),
      h('p', {}, t('how.as_of', { at: moment(answer.as_of) }), ` ${Object.entries(answer.parameters).map(([name, given]) => `${name} = ${given}`).join(' · ')}`), csvButton(question, answer.parameters)));
}

/** Say how many prerequisites wait for somebody who accepts or rejects them, so that nobody takes their absence for an answer. */
export function waiting(answer) {
  const n = answer.left_out[WAITING_NEEDS] ?? 0;
  return n > 0 && h('p', { class: 'note waiting' }, `${plural('needs.waiting', n)} `, h('a', { class: 'no-print', href: link('review', { of: 'proposed' }) }, t('needs.review')));
}

// The names of the counts of findings that are not shown, in `left_out`.
const REJECTED = 'findings hidden, since reviewers accepted under 40 % of those like them';
const OFFLINE_KINDS = 'kinds of mistakes hidden, since without a model they are not named better than by the most frequent kind';

/** Say how many findings are hidden and why. With `toReview`, the review of all findings is linked. */
export function hiddenFindings(answer, { toReview = true } = {}) {
  const rejected = answer?.left_out[REJECTED] ?? 0;
  const kinds = answer?.left_out[OFFLINE_KINDS] ?? 0;
  const sentences = [rejected > 0 && plural('hidden.rejected', rejected), kinds > 0 && plural('hidden.kinds', kinds)].filter(Boolean);
  return sentences.map(sentence => h('p', { class: 'note hidden-findings' }, sentence, ' ', toReview && h('a', { class: 'no-print', href: link('review') }, t('hidden.review'))));
}

function csvButton(question, parameters) {
  async function save() {
    saveCsv(question, await askIn('text/csv', `/${question}`, { ...parameters, language }));
  }
  return h('button', { type: 'button', class: 'plain no-print', onclick: save }, t('how.csv'));
}

/** Save a text as a CSV file. A spreadsheet knows by the mark at its beginning that it is UTF-8. */
export function saveCsv(name, text) {
  saveFile(`${name}.csv`, `\ufeff${text}`, 'text/csv');
}

/** Save a text as a file with this name. */
export function saveFile(name, text, type) {
  const at = URL.createObjectURL(new Blob([text], { type }));
  h('a', { href: at, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(at), 1000);
}

/**
 * Return a table. `columns` are {name, label, cell(row), key(row), text, prose}: with `key` it can be sorted by, in the state `sort`.
 * What is `prose` has room for words on a small screen. The first column heads its row. Of a long table only the first rows are
 * there, and how many are not. On a phone, each row of a table that cannot be sorted is a card. `below` gives what stands
 * under a row, over the whole width, or null.
 * @param {any} caption
 * @param {any[]} columns
 * @param {any[]} rows
 * @param {{sort?: string, none?: any, hidden?: number, most?: number, look?: string, below?: (row: any) => any}} [options]
 */
export function table(caption, columns, rows, { sort, none = t('table.none'), hidden = 0, most = MOST_ROWS, look = '', below = _row => null } = {}) {
  const wanted = sort === undefined ? '' : state().sort ?? sort;
  const [by, down] = [wanted.replace(/^-/, ''), wanted.startsWith('-')];
  const column = columns.find(each => each.name === by && each.key);
  const ordered = column ? [...rows].sort((a, b) => compare(column.key(a), column.key(b), down)) : rows;
  const heads = columns.map(each => {
    const chosen = each === column;
    const next = chosen && !down ? `-${each.name}` : each.name;
    const sortable = sort !== undefined && each.key;
    const label = sortable ? h('a', { href: changed({ sort: next }), 'data-keep-focus': `sort-${each.name}` }, each.label, chosen ? (down ? ' ▼' : ' ▲') : '') : each.label;
    return h('th', { scope: 'col', class: each.text ? null : 'figure', 'aria-sort': chosen ? (down ? 'descending' : 'ascending') : null }, label);
  });
  const isCards = sort === undefined;
  const listed = state().rows === 'all' ? ordered : ordered.slice(0, most);
  const line = row => h('tr', { 'data-row': row.point ?? row.student ?? row.record ?? row.kind ?? row.course ?? row.item ?? null, role: isCards && 'row' },
    columns.map((each, place) => h(place ? 'td' : 'th', { scope: place ? null : 'row', class: each.text ? each.prose && 'prose' : 'figure', 'data-label': place ? each.label : null, role: isCards && (place ? 'cell' : 'rowheader') }, each.cell(row))));
  const under = row => {
    const inside = below(row);
    return inside && h('tr', { class: 'under', role: isCards && 'row' }, h('td', { colspan: columns.length, role: isCards && 'cell' }, inside));
  };
  const body = listed.flatMap(row => [line(row), under(row)]);
  const wide = (words, look) => h('tr', {}, h('td', { colspan: columns.length, class: look }, words));
  const rest = ordered.length - listed.length;
  const whole = h('div', { class: 'scrolls', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', { class: isCards && `cards-on-phone ${look}`.trim(), role: isCards && 'table' }, h('caption', {}, caption), h('thead', { role: isCards && 'rowgroup' }, h('tr', { role: isCards && 'row' }, heads)),
      h('tbody', { role: isCards && 'rowgroup' }, body, !body.length && !hidden && wide(none, 'none'), hidden > 0 && wide(t('table.hidden_rows', { n: hidden }), 'hidden'))));
  return [whole, rest > 0 && h('p', { class: 'left-out' }, `${plural('table.rest', rest)} `, h('a', { href: changed({ rows: 'all' }) }, t('table.all')))];
}

/** Return the order of two values for a sort. */
export function compare(a, b, down) {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return Number(noA) - Number(noB); // what has no value stands last, whichever way
  const order = typeof a === 'string' ? sorter().compare(a, b) : a - b;
  return down ? -order : order;
}

/**
 * Return a block whose heading is a question. The block fills itself when its answers are there. Where an answer cannot be
 * had for now, the block shows the last one or says why there is none, offers a button, and asks again by itself.
 */
export function block(heading, content, properties = {}) {
  const inside = h('div', {}, h('p', { class: 'waits' }, t('status.waits')));
  const whole = h('section', properties, h('h2', {}, heading), inside);
  const signal = viewSignal();
  let pauseMs = FIRST_AGAIN_MS;
  let waiting;

  async function fill() {
    clearTimeout(waiting);
    let parts;
    let isToAskAgain = false;
    try {
      parts = [await content()];
    } catch (problem) {
      parts = [refusal(problem)];
      isToAskAgain = isPassing(problem);
    }
    if (signal.aborted) return;
    endPictures(inside);
    keepingFocus(inside, () => inside.replaceChildren(...parts.flat(Infinity).filter(Boolean)));
    if (!isToAskAgain && !inside.querySelector('[data-outdated]')) return;
    inside.append(h('p', { class: 'no-print' }, h('button', { type: 'button', 'data-keep-focus': `again-${heading}`, onclick: fill }, t('status.again'))));
    waiting = setTimeout(fill, pauseMs);
    pauseMs = Math.min(LAST_AGAIN_MS, 2 * pauseMs);
  }

  signal.addEventListener('abort', () => clearTimeout(waiting), { once: true });
  whole.done = fill();
  return whole;
}

/** Return two columns of blocks, which stand below each other where there is no room for both. */
export function columns(main, rail) {
  const blocks = [...main, ...rail].filter(Boolean);
  const whole = h('div', { class: 'columns' }, h('div', {}, main), h('div', { class: 'rail' }, rail));
  whole.done = Promise.all(blocks.map(each => each.done));
  return whole;
}

/** Return the address of what the caller may see of a student: the page of the student, else ties and moods, else null. */
export function aboutStudent(student, questions) {
  if (questions.has('student')) return link('student', { student });
  return questions.has('ties') ? link('people', { who: student }) : null;
}

/** Return links to the pages of students, as a list in words. `people` are {student, name}. */
export function peopleLinks(people) {
  return h('span', { class: 'people' }, listed(people.map(({ student, name }) => h('a', { href: link('student', { student }) }, name))));
}

/** Return the words of a sentence around an element, which stands where the sentence has {it}. */
export function around(key, values, element) {
  const [before, after] = t(key, { ...values, it: '\u0000' }).split('\u0000');
  return [before, element, after];
}

/** Return a button that copies these names, one a line. A browser that refuses the clipboard gets them as a text to copy. */
export function copyNames(names) {
  const text = names.join('\n');
  const said = h('span', { class: 'note', role: 'status' });
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = plural('copy.done', names.length);
    } catch {
      const box = h('textarea', { readonly: true, rows: Math.min(names.length, 8), 'aria-label': t('copy.by_hand') }, text);
      said.replaceChildren(box);
      box.select();
    }
  }
  return h('span', { class: 'copy no-print' }, h('button', { type: 'button', onclick: copy }, plural('copy.names', names.length)), ' ', said);
}

/** Return a table or another long part behind a heading that opens it. */
export const folded = (heading, ...inside) => h('details', { class: 'folded' }, h('summary', {}, heading), inside);

/** Return a button that does something once at a time. `failed` takes the problem if it could not. */
export function actionButton(words, what, failed, properties = {}) {
  const button = h('button', { type: 'button', ...properties, onclick: async () => {
    if (button.hasAttribute('aria-disabled')) return;
    button.setAttribute('aria-disabled', 'true'); // and not `disabled`, by which the focus would be lost
    await what().catch(failed);
    button.removeAttribute('aria-disabled');
  } }, words);
  return button;
}

/** Say why there is no answer. An error that is not a Problem is a bug: the browser's console has it. */
export function refusal(problem) {
  if (!('type' in problem)) {
    reportError(problem);
    return h('div', { class: 'refusal', role: 'alert' }, h('p', {}, t('problem.bug')));
  }
  return h('div', { class: 'refusal', role: 'alert' }, h('p', {}, told('problem', problem.type) === problem.type ? t('problem.other') : told('problem', problem.type)),
    problem.detail && h('p', {}, asEnglish(problem.detail)));
}
