// @ts-check
// The one module that asks the two doors. A person who signed in has a session, whose cookie no script can read; the key
// of an installation that has no sign-in is kept for this tab only.

import { ofTab } from './storage.js';

const STORED = 'edugraph_key';
const TRIES = 6; // of a question about many students, of which one is answered at a time: a page asks several at once
const REMEMBERED_MS = 30_000; // typing in a search asks for the same answer again and again
const LONGEST_ANSWER_MS = 90_000; // with its body; what has not come by then will not come
const LONGEST_SILENCE_MS = 90_000; // of a file on its way, or of the events of a job, of which some come every 15 s
const LONGEST_PAUSE_SECONDS = 60; // that is waited out unseen; after a longer one the reader decides
const OLD_ANSWERS = 60; // that are kept in case no newer one can be had
const PASSING = new Set(['busy', 'unavailable', 'broken']); // problems that may be over soon
const OWN_PROBLEM = 'urn:'; // how the types of the API's own problems begin
const FROM_SERVER_ERROR = 500; // statuses from here on say that the server failed, and not the request
let key = ofTab.getItem(STORED) ?? '';
let session = null; // the promise of who has signed in
const remembered = new Map(); // address -> {at, view, answer}
const old = new Map(); // address -> its last answer, the oldest first
let view = 0; // which view is shown: what an earlier one asked for, and this one does not, is not asked for again
addEventListener('hashchange', () => { view += 1; });

/** An answer that is no: `type` is its name as in the API, such as `too-large`; `broken` is an answer that cannot be read. `retryAfter`: seconds, 0 if not given. */
export class Problem extends Error {
  constructor(status, type, detail, retryAfter = 0) {
    super(detail);
    this.status = status;
    this.type = type;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

/** Return whether the same request may be answered in a moment. */
export const isPassing = problem => PASSING.has(problem.type) || problem.status >= FROM_SERVER_ERROR;

export const hasKey = () => key !== '';

export function keep(given) {
  key = given;
  forget();
  if (key) ofTab.setItem(STORED, key);
  else ofTab.removeItem(STORED);
}

/** Forget all answers and who has signed in: another may be asking now. */
export function forget() {
  remembered.clear();
  old.clear();
  session = null;
}

/** Return who has signed in: {state, login, name, roles, csrf, ends} as /ui/session says it. Raises Problem. */
export function whoIsIn() {
  session ??= json('GET', '/ui/session');
  session.catch(() => { session = null; });
  return session;
}

/**
 * Change something at either door, with the session's CSRF token: `path` is the whole path, such as /v1/imports. A Blob
 * or a string is sent as it is, with a Content-Type among `headers`; anything else as JSON. Return the JSON of the
 * answer, null where it has none. `onSent` is called with the share of a Blob that is on its way. Raises Problem.
 */
export async function write(method, path, body, headers = {}, onSent = undefined) {
  const asItIs = body === undefined || typeof body === 'string' || body instanceof Blob;
  const csrf = key ? '' : (await whoIsIn()).csrf;
  const answer = await call(method, path, {
    ...(asItIs ? {} : { 'Content-Type': 'application/json' }),
    ...(csrf ? { 'X-CSRF-Token': csrf } : {}),
    ...headers,
  }, asItIs ? body : JSON.stringify(body), { onSent });
  remembered.clear();
  const text = await bodyOf(answer);
  return text ? objectIn(text) : null;
}

/** Take what is remembered as new: who searches goes on with what is shown, and waits for no answer at each letter. */
export function goOn() {
  for (const each of remembered.values()) each.at = Date.now();
}

/**
 * Return the JSON at a path below /v1/insights, which may be half a minute old. Where no newer answer can be had for now,
 * it is the last one, and `outdated` is the problem. Raises Problem.
 */
export function ask(path, parameters = {}) {
  const address = JSON.stringify([path, parameters]);
  const before = remembered.get(address);
  if (before && Date.now() - before.at < REMEMBERED_MS) {
    before.view = view;
    return before.answer;
  }
  for (const [old, { at }] of remembered) if (Date.now() - at >= REMEMBERED_MS) remembered.delete(old);
  const asked = { at: Date.now(), view };
  asked.answer = askIn('application/json', path, parameters, () => asked.view === view).then(answer => keepOld(address, whole(answer))).catch(problem => {
    remembered.delete(address);
    if (isPassing(problem) && old.has(address)) return { ...old.get(address), outdated: problem };
    throw problem;
  });
  remembered.set(address, asked);
  return asked.answer;
}

/** Return an answer to a question that has the parts of one. Answers without rows belong to no question. Raises Problem. */
function whole(answer) {
  const isWhole = !('rows' in answer) || (isListOfObjects(answer.rows) && isObject(answer.of_how_many) && isObject(answer.left_out));
  if (!isWhole) throw new Problem(0, 'broken', '');
  return answer;
}

const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);
const isListOfObjects = value => Array.isArray(value) && value.every(isObject);

function keepOld(address, answer) {
  old.delete(address);
  old.set(address, answer);
  if (old.size > OLD_ANSWERS) old.delete(old.keys().next().value);
  return answer;
}

/** Return the JSON at a path below /v1/insights, or its text in another form, as long as it is wanted. Raises Problem. */
export async function askIn(form, path, parameters, isWanted = () => true) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  const query = new URLSearchParams(given).toString();
  const answer = await inItsTurn(() => call('GET', `/v1/insights${path}${query ? `?${query}` : ''}`, { Accept: form }), isWanted);
  const text = await bodyOf(answer);
  return form === 'application/json' ? objectIn(text) : text;
}

/** Ask either door, and return the JSON of the answer. Raises Problem. */
export async function json(method, address) {
  return objectIn(await bodyOf(await call(method, address)));
}

/** Return the whole body of an answer as text. Raises Problem where it breaks off or does not end. */
export async function bodyOf(answer) {
  try {
    return await answer.text();
  } catch {
    throw new Problem(0, 'broken', '');
  }
}

/** Return the list in a file of the page. Raises Problem. */
export async function listIn(address) {
  const found = parsed(await bodyOf(await call('GET', address)));
  if (!Array.isArray(found)) throw new Problem(0, 'broken', '');
  return found;
}

/** Return the JSON of an answer, which is an object at either door. Raises Problem where it is anything else. */
function objectIn(text) {
  const found = parsed(text);
  if (!isObject(found)) throw new Problem(0, 'broken', '');
  return found;
}

/** Return the value of a JSON text, or null where it is none. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function inItsTurn(asking, isWanted) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await asking();
    } catch (problem) {
      const isToAskAgain = problem.type === 'busy' && problem.retryAfter > 0 && problem.retryAfter <= LONGEST_PAUSE_SECONDS;
      if (!isToAskAgain || tried === TRIES) throw problem;
      await new Promise(resolve => setTimeout(resolve, problem.retryAfter * 1000));
      if (!isWanted()) throw problem;
    }
  }
}

/** Have the session's rights renewed, which count for some minutes. Return whether somebody is signed in. */
export async function renewSession() {
  const signal = AbortSignal.timeout(LONGEST_ANSWER_MS);
  const answer = await fetch('/ui/session', { cache: 'no-store', credentials: 'same-origin', signal }).catch(() => null);
  if (!answer?.ok) return false;
  const told = await answer.json().catch(() => null);
  return told?.state === 'in';
}

/**
 * Ask either door, and return the answer before its body is read. It may take as long as an answer may, unless `signal`
 * ends it. A Blob may take as long as some of it moves: `onSent` is called with the share that is sent. Raises Problem.
 */
export async function call(method, address, headers = {}, body = undefined, options = {}) {
  try {
    return await callOnce(method, address, headers, body, options);
  } catch (problem) {
    // A computer that slept for some minutes has a session whose rights are too old. Only insights can renew them.
    if (problem.type === 'session' && await renewSession()) return callOnce(method, address, headers, body, options);
    if (problem.type === 'session') document.dispatchEvent(new Event('session-ended'));
    throw problem;
  }
}

async function callOnce(method, address, headers, body, { signal = undefined, onSent = undefined }) {
  const all = { Accept: 'application/json', ...(key ? { Authorization: `Bearer ${key}` } : {}), ...headers };
  let answer;
  try {
    if (body instanceof Blob) {
      answer = await sendFile(method, address, all, body, onSent);
    } else {
      const ending = signal ?? AbortSignal.timeout(LONGEST_ANSWER_MS);
      answer = await fetch(address, { method, headers: all, body, cache: 'no-store', credentials: 'same-origin', signal: ending });
    }
  } catch {
    throw new Problem(0, 'unavailable', '');
  }
  if (!answer.ok) {
    const problem = await problemOf(answer);
    if (problem.type === 'csrf') session = null; // signed in anew in another tab: the next try has the new token
    throw problem;
  }
  return answer;
}

/** Send a file and return the answer. `fetch` does not tell whether a body moves. Rejects where nothing moves any more. */
async function sendFile(method, address, headers, file, onSent) {
  const request = new XMLHttpRequest();
  const moving = untilSilence();
  moving.signal.addEventListener('abort', () => request.abort());
  request.open(method, address);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.upload.addEventListener('progress', event => {
    moving.heard();
    onSent?.(event.total ? event.loaded / event.total : 1);
  });
  request.addEventListener('progress', moving.heard);
  try {
    await new Promise((done, failed) => {
      request.addEventListener('load', done);
      for (const end of ['error', 'abort']) request.addEventListener(end, failed);
      request.send(file);
    });
    return answerOf(request);
  } finally {
    moving.stop();
  }
}

/** Return the answer to a request that has ended, in the form that `fetch` gives. */
function answerOf(request) {
  const headers = new Headers();
  for (const line of request.getAllResponseHeaders().trim().split('\r\n')) {
    const at = line.indexOf(': ');
    if (at > 0) headers.append(line.slice(0, at), line.slice(at + 2));
  }
  // An empty text is null here, because the status of some answers allows no body.
  return new Response(request.responseText || null, { status: request.status, headers });
}

/** Return a signal that aborts when `heard` has not been called for the longest silence, or when `stop` is called. */
export function untilSilence() {
  const silent = new AbortController();
  const stop = () => {
    clearTimeout(waiting);
    silent.abort();
  };
  let waiting = setTimeout(stop, LONGEST_SILENCE_MS);
  const heard = () => {
    clearTimeout(waiting);
    waiting = setTimeout(stop, LONGEST_SILENCE_MS);
  };
  return { signal: silent.signal, heard, stop };
}

/** Return the problem that a refusal tells. What stands between the page and the API may answer in its place, with anything. */
async function problemOf(answer) {
  const told = await answer.json().catch(() => null);
  const retryAfter = Number(answer.headers.get('Retry-After'));
  const isOfApi = typeof told?.type === 'string' && told.type.startsWith(OWN_PROBLEM);
  if (!isOfApi) return new Problem(answer.status, 'unavailable', '', retryAfter);
  const detail = typeof told.detail === 'string' ? told.detail : '';
  return new Problem(answer.status, told.type.split(':').pop() || 'unavailable', detail, retryAfter);
}

/** Return what a promise brings, unless that takes longer than an answer may. Raises Problem then. */
export async function inTime(promise) {
  const isOver = new AbortController(); // without it, all that waits here would stay in memory until the time is over
  const late = new Promise((_, reject) => {
    const options = { once: true, signal: isOver.signal };
    AbortSignal.timeout(LONGEST_ANSWER_MS).addEventListener('abort', () => reject(new Problem(0, 'unavailable', '')), options);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    isOver.abort();
  }
}

/** Return the module that `load` imports, for a part that is not loaded with the first page. Raises Problem if it does not come. */
export async function loaded(load) {
  try {
    return await inTime(load());
  } catch {
    throw new Problem(0, 'unavailable', '');
  }
}
