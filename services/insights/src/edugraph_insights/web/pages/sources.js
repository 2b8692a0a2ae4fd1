// @ts-check
// Where data comes from: each source with what came last, and what to do where it is silent or its requests are refused.
// It shows counts and reasons, and neither records nor the keys and secrets of senders.

import { json } from '../api.js';
import { keepingFocus } from '../focus.js';
import { around, block, h, table, value } from '../parts.js';
import { inReadersWords, learnRejects } from '../rejects.js';
import { changed } from '../state.js';
import { moment, number, plural, sentences, sorter, t, told } from '../words.js';

const MOST_JOBS = 200; // that the list of jobs gives at once; an import before them counts as unknown
const MOST_SOURCES = 20; // that are shown, until all are asked for
const LONG_WAIT_MS = 10 * 60_000; // after which waiting records are worth a sentence
const LONG_SILENCE_MS = 7 * 86_400_000; // after which a source that sent live is worth one
const LARGE_SHARE = 0.1; // of records that are set aside: from it on, somebody should look
const LIVE_JOB = /^live-/; // jobs of a source and day, whose counts are those of the day

/** Return the section of the sources that the caller may see. */
export function sources() {
  const place = h('div', { class: 'sources' });
  const look = () => {
    const section = block(t('sources.title'), () => listed(again), { 'data-part': 'sources' });
    place.replaceChildren(section);
    return section.done;
  };
  const again = () => keepingFocus(place, () => { place.done = look(); }, () => place.querySelector('h2'));
  place.done = look();
  return place;
}

async function listed(again) {
  const [{ sources: found }, jobs] = await Promise.all([json('GET', '/v1/live-sources'), latestJobs(), learnRejects()]);
  const lookAgain = h('p', { class: 'no-print' }, h('button', { type: 'button', 'data-keep-focus': 'sources-again', onclick: again }, t('sources.again')));
  if (found.length === 0) return [h('p', {}, t('sources.none')), h('p', { class: 'note' }, t('sources.how_to_begin')), lookAgain];
  const rows = found.map(each => rowOf(each, jobs.get(each.source.name)));
  // What needs somebody stands first.
  rows.sort((a, b) => b.isUrgent - a.isUrgent || sorter().compare(a.name, b.name));
  const urgent = rows.filter(each => each.isUrgent).length;
  return [
    h('p', { class: 'lead' }, urgent ? plural('sources.urgent', urgent, { of: number(rows.length) }) : plural('sources.well', rows.length)),
    table(t('sources.caption'), [
      { name: 'source', label: t('sources.source'), text: true, cell: row => [h('strong', {}, row.name), h('span', { class: 'unit' }, told('source_kind', row.kind))] },
      { name: 'last', label: t('sources.last'), text: true, cell: lastOf },
      { name: 'accepted', label: t('sources.accepted'), cell: row => value(row.accepted) },
      { name: 'rejected', label: t('outcome.rejected'), cell: row => value(row.rejected) },
      { name: 'refused', label: t('sources.refused'), cell: row => value(row.refused) },
      { name: 'waiting', label: t('sources.waiting'), cell: row => value(row.waiting) },
      { name: 'to_do', label: t('sources.to_do'), text: true, prose: true, cell: row => h('span', { class: row.isUrgent ? 'urgent' : 'quiet' }, row.says) },
    ], rows, { most: MOST_SOURCES, look: 'by-source' }),
    lookAgain,
  ];
}

/** Return the latest import of a file by source. Who may not list jobs gets none. */
async function latestJobs() {
  const latest = new Map();
  let jobs;
  try {
    ({ jobs } = await json('GET', `/v1/jobs?limit=${MOST_JOBS}`));
  } catch (problem) {
    if (problem.status !== 403) throw problem;
    return latest;
  }
  for (const job of jobs) {
    const isOfFile = job.kind === 'import' && !LIVE_JOB.test(job.job_id);
    if (isOfFile && !latest.has(job.source_name)) latest.set(job.source_name, job);
  }
  return latest;
}

const timeOf = text => (text ? Date.parse(text) : 0);

/** Return what is shown of a source: the figures of its latest day or of its latest file, whichever came later. */
function rowOf({ source, silent, latest }, job) {
  const isFile = Boolean(job) && timeOf(job.created) > timeOf(latest?.last_accepted);
  const figures = isFile ? ofFile(job) : ofDay(latest);
  const row = { ...figures, name: source.name, kind: source.kind, live: source.live, silent, latest, record: source.name };
  return { ...row, ...whatToDo(row) };
}

function ofFile(job) {
  const waiting = Math.max(0, job.expected - job.read);
  const accepted = job.read - job.rejected - job.failed;
  return { job: job.job_id, last: job.created, accepted, rejected: job.rejected, refused: 0, waiting, reasons: job.reasons };
}

function ofDay(day) {
  if (!day) return { job: null, last: null, accepted: 0, rejected: 0, refused: 0, waiting: 0, reasons: {} };
  const { rejected, refused, waiting, reasons } = day;
  const job = day.accepted > 0 ? day.job_id : null; // without accepted records the day has no job
  const accepted = Math.max(0, day.accepted - waiting - rejected);
  return { job, last: day.last_accepted, accepted, rejected, refused, waiting, reasons };
}

function lastOf({ last, job }) {
  if (!last) return t('sources.never');
  if (!job) return moment(last);
  return h('a', { href: changed({ job }), 'data-keep-focus': `source-${job}` }, moment(last));
}

/** Return one sentence of what is wrong and what to do: `says`, and `isUrgent` if somebody has to act. */
function whatToDo(row) {
  const { latest } = row;
  const urgent = says => ({ says, isUrgent: true });
  const calm = says => ({ says, isUrgent: false });
  if (row.live === 'paused') return urgent(t('sources.paused'));
  const lastRefused = timeOf(latest?.last_refused);
  if (lastRefused > timeOf(row.last)) return urgent(refusedWords(latest));
  if (row.silent) return urgent(row.last ? t('sources.silent', { at: moment(row.last) }) : t('sources.silent_always'));
  const waitsSince = latest?.oldest_waiting;
  if (waitsSince && Date.now() - timeOf(waitsSince) > LONG_WAIT_MS) return urgent(t('sources.waits', { at: moment(waitsSince) }));
  const isMuch = row.rejected > LARGE_SHARE * (row.accepted + row.rejected);
  if (row.rejected > 0) return { says: rejectedWords(row), isUrgent: isMuch };
  if (row.live === 'observe') return calm(plural('sources.observed', latest?.observed ?? 0));
  if (lastRefused) return calm(refusedWords(latest));
  if (!row.last) return calm(t('sources.nothing_yet'));
  const isLive = row.last === latest?.last_accepted;
  if (isLive && Date.now() - timeOf(row.last) > LONG_SILENCE_MS) return urgent(t('sources.old', { at: moment(row.last) }));
  return calm(t('sources.nothing_to_do'));
}

function refusedWords({ refused, last_refused: at, last_refusal: name }) {
  const known = told('refusal', name);
  return sentences([plural('sources.were_refused', refused, { at: moment(at) }), known === name ? t('refusal.other') : known]);
}

/** Return how many records were set aside, and the reason of most of them. */
function rejectedWords({ rejected, reasons }) {
  const [first] = Object.entries(reasons).sort((a, b) => b[1] - a[1]);
  if (!first) return plural('sources.set_aside', rejected);
  return around('sources.set_aside_most', { rows: plural('sources.set_aside', rejected) }, inReadersWords(first[0]));
}
