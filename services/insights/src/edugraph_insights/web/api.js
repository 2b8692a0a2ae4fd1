// The one module that asks the two doors. A person who signed in has a session, whose cookie no script can read; the key
// of an installation that has no sign-in is kept for this tab only.

const STORED = 'edugraph_key';
const TRIES = 6; // of a question about many students, of which one is answered at a time: a page asks several at once
const REMEMBERED_MS = 30_000; // typing in a search asks for the same answer again and again
const LONGEST_ANSWER_MS = 90_000; // with its body; what has not come by then will not come
const OLD_ANSWERS = 60; // that are kept in case no newer one can be had
const PASSING = new Set(['busy', 'unavailable', 'broken']); // problems that may be over soon
let key = sessionStorage.getItem(STORED) ?? '';
let session = null; // the promise of who has signed in
const remembered = new Map(); // address -> {at, view, answer}
const old = new Map(); // address -> its last answer, the oldest first
let view = 0; // which view is shown: what an earlier one asked for, and this one does not, is not asked for again
addEventListener('hashchange', () => { view += 1; });

/** An answer that is no: `type` is its name as in the API, such as `too-large`; `broken` is an answer that cannot be read. `retryAfter`: seconds, 0 if not given. */
export class Problem extends Error {
  constructor(status, type, detail, retryAfter = 0) {
    super(detail);
    Object.assign(this, { status, type, detail, retryAfter });
  }
}

/** Return whether the same request may be answered in a moment. */
export const isPassing = problem => PASSING.has(problem.type);

export const hasKey = () => key !== '';

export function keep(given) {
  key = given;
  forget();
  if (key) sessionStorage.setItem(STORED, key);
  else sessionStorage.removeItem(STORED);
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
 * answer, null where it has none. Raises Problem.
 */
export async function write(method, path, body, headers = {}) {
  const asItIs = body === undefined || typeof body === 'string' || body instanceof Blob;
  const csrf = key ? '' : (await whoIsIn()).csrf;
  const answer = await call(method, path, {
    ...(asItIs ? {} : { 'Content-Type': 'application/json' }),
    ...(csrf ? { 'X-CSRF-Token': csrf } : {}),
    ...headers,
  }, asItIs ? body : JSON.stringify(body), { endless: body instanceof Blob }); // a large file takes long
  remembered.clear();
  const text = await bodyOf(answer);
  return text ? parsed(text) : null;
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
  asked.answer = askIn('application/json', path, parameters, () => asked.view === view).then(answer => keepOld(address, answer), problem => {
    remembered.delete(address);
    if (isPassing(problem) && old.has(address)) return { ...old.get(address), outdated: problem };
    throw problem;
  });
  remembered.set(address, asked);
  return asked.answer;
}

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
  return form === 'application/json' ? parsed(text) : text;
}

/** Ask either door, and return the JSON of the answer. Raises Problem. */
export async function json(method, address) {
  return parsed(await bodyOf(await call(method, address)));
}

/** Return the whole body of an answer as text. Raises Problem where it breaks off or does not end. */
export async function bodyOf(answer) {
  try {
    return await answer.text();
  } catch {
    throw new Problem(0, 'broken', '');
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(0, 'broken', '');
  }
}

async function inItsTurn(asking, isWanted) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await asking();
    } catch (problem) {
      if (problem.type !== 'busy' || !problem.retryAfter || tried === TRIES) throw problem;
      await new Promise(resolve => setTimeout(resolve, problem.retryAfter * 1000));
      if (!isWanted()) throw problem;
    }
  }
}

/** Have the session's rights renewed, which count for some minutes. Return whether somebody is signed in. */
export async function renewSession() {
  const answer = await fetch('/ui/session', { cache: 'no-store', credentials: 'same-origin' }).catch(() => null);
  if (!answer?.ok) return false;
  return (await answer.json().catch(() => ({}))).state === 'in';
}

/** Ask either door, and return the answer before its body is read; only `endless` may take long. Raises Problem. */
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

async function callOnce(method, address, headers, body, { endless = false }) {
  const all = { Accept: 'application/json', ...(key ? { Authorization: `Bearer ${key}` } : {}), ...headers };
  let answer;
  try {
    const signal = endless ? undefined : AbortSignal.timeout(LONGEST_ANSWER_MS);
    answer = await fetch(address, { method, headers: all, body, cache: 'no-store', credentials: 'same-origin', signal });
  } catch {
    throw new Problem(0, 'unavailable', '');
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    const problem = new Problem(answer.status, (told.type ?? '').split(':').pop() || 'unavailable', told.detail ?? '', Number(answer.headers.get('Retry-After')));
    if (problem.type === 'csrf') session = null; // signed in anew in another tab: the next try has the new token
    throw problem;
  }
  return answer;
}
