// @ts-check
// What came in, and what became of it: a new import, one job as it goes on, the sources, and the list of all jobs.

import { bodyOf, call, json, untilSilence, write } from '../api.js';
import { keepingFocus } from '../focus.js';
import { viewSignal } from '../lifetime.js';
import { actionButton, asEnglish, block, h, refusal, saveFile, table, value } from '../parts.js';
import { readBefore } from '../reading_again.js';
import { learnRejects } from '../rejects.js';
import { changed, link, state } from '../state.js';
import { counts, courseSentAs, mender, rejects, sentAs, uploader } from '../uploading.js';
import { moment, number, plural, price, t, told } from '../words.js';
import { EXAMPLE_COURSE, exampleSchool, isOfExample } from './example.js';
import { sources } from './sources.js';

const STATES = ['queued', 'running', 'waiting', 'succeeded', 'partly failed', 'failed', 'cancelled'];
const ENDED = new Set(['succeeded', 'partly failed', 'failed', 'cancelled']);
const PAGE_ROWS = 20;
const AGAIN_MS = 1000; // until a stream that broke off is asked for again
const MOST_MENDED = 200; // rows that can be corrected here; of more, the file is

export function imports({ courses }) {
  const { job } = state();
  const list = () => block(t('imports.jobs'), jobs, { class: 'jobs' });
  const listed = list();
  document.addEventListener('imported', async () => {
    const anew = list();
    await anew.done;
    if (listed.isConnected) keepingFocus(listed, () => listed.replaceWith(anew), () => anew.querySelector('h2'));
  }, { once: true, signal: viewSignal() });
  const first = job ? [oneJob(job), exampleSchool()] : [exampleSchool(), uploader(courses)];
  return [h('h1', {}, t('imports.title')), ...first, sources(), listed];
}

/** Return the section of a job, which shows each of its changes. */
function oneJob(id) {
  const inside = h('div', {}, h('p', { class: 'waits' }, t('status.waits')));
  const said = h('p', { class: 'unseen', role: 'status' });
  const section = h('section', { class: 'job', 'data-job': id }, h('h2', {}, t('imports.job')), said, inside);
  const shown = job => {
    keepingFocus(inside, () => inside.replaceChildren(...report(job, section)), () => inside.querySelector('h3'));
    const now = `${told('job', job.state)} – ${job.source}`;
    if (said.textContent !== now) said.textContent = now;
  };
  section.done = learnRejects().then(() => follow(id, section, shown)).catch(problem => inside.replaceChildren(refusal(problem)));
  return section;
}

/** Show a job now, and again at each change until it has ended or the page shows something else. */
async function follow(id, section, shown) {
  const job = await json('GET', `/v1/jobs/${encodeURIComponent(id)}`);
  shown(job);
  if (!ENDED.has(job.state)) changes(id, section, shown);
}

async function changes(id, section, shown) {
  const leaving = new AbortController();
  addEventListener('hashchange', () => leaving.abort(), { once: true });
  let job = null;
  while (!leaving.signal.aborted && !(job && ENDED.has(job.state))) {
    // A connection that a proxy has forgotten is silent. The next one goes on with the job as it is then.
    const listening = untilSilence();
    leaving.signal.addEventListener('abort', listening.stop, { signal: listening.signal });
    try {
      const answer = await call('GET', `/v1/jobs/${encodeURIComponent(id)}/events`, { Accept: 'text/event-stream' }, undefined, { signal: listening.signal });
      for await (const text of events(answer.body, listening.heard)) {
        job = JSON.parse(text);
        if (section.isConnected) shown(job);
      }
    } catch (problem) {
      if (!leaving.signal.aborted && problem.status && ![429, 502, 503, 504].includes(problem.status)) {
        section.append(refusal(problem));
        return;
      }
    } finally {
      listening.stop();
    }
    if (!job || !ENDED.has(job.state)) await new Promise(done => setTimeout(done, AGAIN_MS));
  }
  document.dispatchEvent(new Event('imported')); // or it was left while it went on, and some of it has come
}

/** Give the data of each server-sent event, and call `heard` whenever something comes. EventSource would send no key. */
async function* events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value: more, done } = await reader.read();
    if (done) return;
    heard();
    text += more;
    const whole = text.split('\n\n');
    text = whole.pop();
    for (const event of whole) {
      const data = event.split('\n').find(line => line.startsWith('data: '));
      if (data) yield data.slice('data: '.length);
    }
  }
}

/** The name of the file, and the source that its records belong to. */
function fileAndSource(job) {
  return job.source_name && job.source_name !== 'default' ? `${job.source} · ${job.source_name}` : job.source;
}

function report(job, section) {
  const apart = Object.values(job.not_relevant).reduce((sum, n) => sum + n, 0);
  const ended = ENDED.has(job.state);
  const { analysis } = job;
  return [
    h('h3', {}, fileAndSource(job)),
    h('p', {}, h('strong', { class: 'state', 'data-state': job.state }, told('job', job.state)), ` · ${moment(job.created)}`, !ended && job.seconds_left !== null && ` · ${t('imports.left', { n: number(job.seconds_left) })}`),
    !ended && h('progress', { 'aria-label': t('imports.progress'), max: Math.max(job.batches, 1), value: job.batches ? job.batches_done : null }),
    job.waiting_for && h('p', { class: 'left-out' }, t('imports.waits_for'), ' ', waitsFor(job.waiting_for)),
    job.error && h('p', { class: 'refusal' }, asEnglish(job.error)),
    counts({ written: job.written, replaced: job.replaced, unchanged: job.unchanged, older: job.older, taken_back: job.taken_back, rejected: job.rejected, failed: job.failed, not_relevant: apart }),
    analysis.expected > 0 && h('p', { 'data-analysis': analysis.done }, t('imports.analysis', { done: number(analysis.done), of: number(analysis.expected), failed: number(analysis.failed), cached: number(analysis.cached) }), analysis.cost > 0 && ` ${t('imports.cost', { cost: price(analysis.cost) })}`),
    ended && job.written + job.replaced + job.unchanged + job.older > 0 && whereToLook(job),
    ended && readBefore(job),
    job.errors.length > 0 && rejects(job.errors),
    h('p', { class: 'search no-print' },
      !ended && act(t('imports.cancel'), section, () => write('POST', `/v1/jobs/${job.job_id}/cancel`)),
      job.rejected > 0 && act(t('imports.download'), section, () => download(job.job_id)),
      ended && job.rejected > 0 && sentAs(job.job_id) && act(t('imports.mend'), section, () => mend(job.job_id, section)),
      h('a', { href: changed({ job: '' }), 'data-keep-focus': 'job-another' }, t('imports.another'))),
    ended && job.rejected > 0 && h('p', { class: 'note' }, t('imports.mend_note')),
  ].flat(Infinity).filter(Boolean);
}

/** Return where the records of a job can be seen: a link, if the file named their course. */
function whereToLook(job) {
  const course = isOfExample(job) ? EXAMPLE_COURSE : courseSentAs(job.job_id);
  if (!course) return h('p', {}, t('imports.look'));
  const view = { course, group: '', term: '', since: '', until: '' };
  return h('p', {}, h('a', { class: 'to-course', href: link('overview', view), 'data-keep-focus': 'job-course' }, t('imports.see_course', { course })));
}

/** Say what a job waits for; what a provider says is English. */
const waitsFor = english => (told('waits', english) === english ? asEnglish(english) : told('waits', english));

/** Return a button that does something and shows why it could not. */
function act(words, section, what) {
  const failed = problem => section.append(refusal(problem));
  return actionButton(words, what, failed, { 'data-keep-focus': `job-${words}` });
}

const rejectsOf = async id => bodyOf(await call('GET', `/v1/jobs/${encodeURIComponent(id)}/rejects`, { Accept: 'application/x-ndjson' }));

async function download(id) {
  saveFile(`rejects-${id}.ndjson`, await rejectsOf(id), 'application/x-ndjson');
}

async function mend(id, section) {
  const raws = (await rejectsOf(id)).split('\n').filter(Boolean).map(line => JSON.parse(line).raw).filter(raw => raw !== null);
  section.querySelector('.upload')?.remove();
  const editor = mender(sentAs(id), raws.slice(0, MOST_MENDED));
  if (raws.length > MOST_MENDED) editor.append(h('p', { class: 'left-out' }, plural('table.rest', raws.length - MOST_MENDED)));
  section.append(editor);
  editor.querySelector('h2').focus();
}

async function jobs() {
  const now = state();
  const query = new URLSearchParams({ limit: String(PAGE_ROWS), ...(now.cursor ? { cursor: now.cursor } : {}), ...(now.only ? { state: now.only } : {}) });
  const listed = await json('GET', `/v1/jobs?${query}`);
  const next = new URLSearchParams((listed.links.next ?? '').split('?')[1]).get('cursor');
  const pick = h('select', { name: 'only', 'data-keep-focus': 'only', onchange: () => { location.hash = changed({ only: pick.value, cursor: '' }); } },
    h('option', { value: '' }, t('imports.any')), STATES.map(each => h('option', { value: each, selected: each === now.only }, told('job', each))));
  return [
    h('p', { class: 'search no-print' }, h('label', {}, `${t('imports.only')} `, pick)),
    table(plural('imports.listed', listed.jobs.length), [
      { name: 'source', label: t('column.source'), text: true, cell: row => h('a', { href: changed({ job: row.job_id }), 'data-keep-focus': `job-${row.job_id}`, 'aria-current': row.job_id === now.job ? 'true' : null }, fileAndSource(row)) },
      { name: 'state', label: t('column.state'), text: true, cell: row => [told('job', row.state), row.waiting_for && [': ', waitsFor(row.waiting_for)]] },
      { name: 'created', label: t('column.at'), text: true, cell: row => moment(row.created) },
      ...['read', 'written', 'rejected', 'failed'].map(name => ({ name, label: t(`outcome.${name}`), cell: row => value(row[name]) })),
      { name: 'texts', label: t('column.texts'), cell: row => value(row.analysis.done) },
      { name: 'cost', label: t('column.cost'), cell: row => value(row.analysis.cost, row.analysis.cost ? price(row.analysis.cost) : '–') },
    ], listed.jobs.map(each => ({ ...each, record: each.job_id }))),
    h('p', { class: 'search no-print' }, now.cursor && h('a', { href: changed({ cursor: '' }) }, t('imports.newest')), next && h('a', { href: changed({ cursor: next }) }, t('imports.older'))),
  ];
}
