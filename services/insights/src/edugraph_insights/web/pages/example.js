// @ts-check
// The example school: one made-up course, offered to whoever begins with an empty installation, and taken back by one click.

import { bodyOf, call, json, write } from '../api.js';
import { keepingFocus } from '../focus.js';
import { viewSignal } from '../lifetime.js';
import { around, h, refusal } from '../parts.js';
import { link } from '../state.js';
import { done } from '../tasks.js';
import { language, t } from '../words.js';

export const EXAMPLE_COURSE = 'EXAMPLE';
// What the import is called in the list of jobs, by the language of the page on which it was begun.
const NAMES = { en: 'Example school.ndjson', zh: '示例学校.ndjson' };
const MOST_JOBS = 200; // that the list of jobs gives at once
const ENDED = new Set(['succeeded', 'partly failed', 'failed', 'cancelled']);
// Who sees all courses knows whether there is none. The others would not see the example either.
const SEES_ALL = new Set(['everybody', 'groups']);
const WITH_RECORDS = ['Student', 'Teacher', 'Course', 'Group', 'Term', 'KnowledgePoint', 'Item'];
const REUSED = 'key-reused'; // the problem of a second import that began in another language

/** Return whether a job is the import of the example. */
export const isOfExample = job => Object.values(NAMES).includes(job.source);

/** For callers who may import: return the offer of the example school, or the way to take it back, or an empty element where there is neither. */
export function exampleSchool() {
  const place = h('div', { class: 'example-school' });
  const signal = viewSignal();
  const look = async () => {
    const found = await standing().catch(() => null); // the other parts of the page say what cannot be had
    if (signal.aborted) return;
    keepingFocus(place, () => place.replaceChildren(found ? sectionOf(found) : ''), () => place.querySelector('h2'));
  };
  place.done = look();
  document.addEventListener('imported', look, { signal });
  return place;
}

/** Return how it stands with the example: {state, name, job}, or null if there is nothing to offer or to take back. */
async function standing() {
  const may = await json('GET', '/v1/insights/choices');
  if (!SEES_ALL.has(may.sees)) return null;
  const course = may.courses.find(each => each.id === EXAMPLE_COURSE);
  const hasOthers = may.courses.length + may.groups.length + may.terms.length > (course ? 1 : 0);
  if (!course && hasOthers) return null;
  const { jobs } = await json('GET', `/v1/jobs?limit=${MOST_JOBS}`);
  const job = jobs.find(isOfExample) ?? null;
  if (job && !ENDED.has(job.state)) return { state: 'running', job };
  if (course) return { state: hasOthers ? 'beside' : 'here', name: course.name, job };
  return await hasRecords() ? null : { state: 'offered', job };
}

/** Return whether the graph has something without a course. Who may not count its nodes is not asked. */
async function hasRecords() {
  const { scopes } = await json('GET', '/v1/caller');
  if (!scopes.includes('read')) return false;
  const { nodes } = await json('GET', '/v1/graph/summary');
  return WITH_RECORDS.some(label => nodes[label] > 0);
}

function sectionOf(found) {
  const parts = { offered: offer, running, here, beside: here }[found.state](found);
  return h('section', { 'data-example': found.state }, parts);
}

function offer() {
  const begin = button(t('example.import'), t('example.importing'), async () => {
    const job = await importOnce();
    location.hash = job ? link('imports', { job, course: '' }) : link('overview', { course: EXAMPLE_COURSE });
  });
  return [h('h2', {}, t('example.offer_title')), h('p', {}, t('example.offer')), begin];
}

function running({ job }) {
  return [h('h2', {}, t('example.offer_title')), h('p', {}, t('example.running'), ' ', h('a', { href: link('imports', { job: job.job_id }), 'data-keep-focus': 'example-job' }, t('example.see_job')))];
}

function here({ state, name, job }) {
  const course = h('a', { href: link('overview', { course: EXAMPLE_COURSE, group: '' }), 'data-keep-focus': 'example-course' }, name);
  const takeBack = button(t('example.take_back'), t('example.taking_back'), async () => {
    await done(write('POST', `/v1/jobs/${encodeURIComponent(job.job_id)}/undo`));
    document.dispatchEvent(new Event('imported')); // the courses have changed
    location.hash = link('imports', { course: '', job: '' });
  });
  return [
    h('h2', {}, t('example.here_title')),
    h('p', {}, around(state === 'beside' ? 'example.beside' : 'example.here', {}, course)),
    job ? takeBack : h('p', { class: 'note' }, t('example.no_job')),
  ];
}

/** Return a button for something that takes a while, with what it is doing, or why it could not. */
function button(words, meanwhile, what) {
  const said = h('p', { class: 'note', role: 'status' });
  const press = h('button', { type: 'button', class: 'primary', 'data-keep-focus': 'example', onclick: async () => {
    if (press.hasAttribute('aria-disabled')) return;
    press.setAttribute('aria-disabled', 'true'); // and not `disabled`, by which the focus would be lost
    said.replaceChildren(meanwhile);
    try {
      await what();
    } catch (problem) {
      said.replaceChildren(refusal(problem));
      press.removeAttribute('aria-disabled');
    }
  } }, words);
  return [h('p', { class: 'no-print' }, press), said];
}

/**
 * Import the example once, and return its job, or null if another import of it has ended meanwhile. Two tabs send the
 * same key, by which the gateway makes one job. After it was taken back the key is another one.
 */
async function importOnce() {
  const now = await standing();
  if (now?.state !== 'offered') return now?.state === 'running' ? now.job.job_id : null;
  const records = new Blob([await bodyOf(await call('GET', `example/${language}.ndjson`))]);
  const query = new URLSearchParams({ name: NAMES[language], format: 'ndjson' });
  const headers = { 'Content-Type': 'application/x-ndjson', 'Idempotency-Key': `example-school-after-${now.job?.job_id ?? 'nothing'}` };
  try {
    const accepted = await write('POST', `/v1/imports?${query}`, records, headers);
    return accepted.job_id;
  } catch (problem) {
    if (problem.type !== REUSED) throw problem;
    const { jobs } = await json('GET', `/v1/jobs?limit=${MOST_JOBS}`);
    return jobs.find(isOfExample)?.job_id ?? null;
  }
}
