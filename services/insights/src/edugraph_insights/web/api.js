// The one module that asks insights. The key of an installation that needs one is kept for this tab only.

const STORED = 'edugraph_key';
const REMEMBERED_MS = 30_000; // typing in a search asks for the same answer again and again
let key = sessionStorage.getItem(STORED) ?? '';
const remembered = new Map(); // address -> {at, answer}

/** An answer that is no: `type` is its name as in the API, such as `too-large`. */
export class Problem extends Error {
  constructor(status, type, detail) {
    super(detail);
    Object.assign(this, { status, type, detail });
  }
}

export const hasKey = () => key !== '';

export function keep(given) {
  key = given;
  remembered.clear();
  if (key) sessionStorage.setItem(STORED, key);
  else sessionStorage.removeItem(STORED);
}

/** Return the JSON at a path below /v1/insights, which may be half a minute old. Raises Problem. */
export function ask(path, parameters = {}) {
  const address = JSON.stringify([path, parameters]);
  const before = remembered.get(address);
  if (before && Date.now() - before.at < REMEMBERED_MS) return before.answer;
  for (const [old, { at }] of remembered) if (Date.now() - at >= REMEMBERED_MS) remembered.delete(old);
  const answer = askIn('application/json', path, parameters);
  remembered.set(address, { at: Date.now(), answer });
  answer.catch(() => remembered.delete(address));
  return answer;
}

/** Return the JSON at a path below /v1/insights, or its text in another form. Raises Problem. */
export async function askIn(form, path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  const query = new URLSearchParams(given).toString();
  const headers = { Accept: form, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(`/v1/insights${path}${query ? `?${query}` : ''}`, { headers, cache: 'no-store' });
  } catch {
    throw new Problem(0, 'unavailable', '');
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Problem(answer.status, (told.type ?? '').split(':').pop() || 'unavailable', told.detail ?? '');
  }
  return form === 'application/json' ? answer.json() : answer.text();
}

/** Send JSON to a path of the gateway, which is at the same address, and return its answer. Raises Problem. */
export async function write(method, path, body) {
  const headers = { 'Content-Type': 'application/json', ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: JSON.stringify(body), cache: 'no-store' });
  } catch {
    throw new Problem(0, 'unavailable', '');
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, (told.type ?? '').split(':').pop() || 'unavailable', told.detail ?? '');
  remembered.clear(); // what was asked before may have another answer now
  return told;
}
