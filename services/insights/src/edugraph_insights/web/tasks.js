// @ts-check
// Tasks of the gateway: what was sent is done some moments later, and this waits for it.

import { Problem, isPassing, json } from './api.js';
import { viewSignal } from './lifetime.js';

const FIRST_LOOK_MS = 500; // at a task; each next look is twice as late, up to the last
const LAST_LOOK_MS = 5000;
const FAILED = new Set(['FAILURE', 'REVOKED']);
const TOO_FAST = 429; // requests than the gateway takes

/** Wait for the end of a task that was sent, and return its result. Raises Problem. Who leaves the page waits for ever, unseen. */
export async function done(sent) {
  const signal = viewSignal();
  const { task_id: id } = await sent;
  if (typeof id !== 'string') throw new Problem(0, 'broken', '');
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(LAST_LOOK_MS, 2 * pause)) {
    await new Promise(resolve => setTimeout(resolve, pause));
    if (signal.aborted) return new Promise(() => {});
    const task = await looked(id);
    if (task.state === 'SUCCESS') return task.result ?? {};
    if (FAILED.has(task.state)) throw new Problem(0, 'not-done', typeof task.error === 'string' ? task.error : '');
  }
}

/** Return a task as it is now; nothing where that cannot be had for a moment. Raises Problem. */
async function looked(id) {
  try {
    return await json('GET', `/v1/tasks/${encodeURIComponent(id)}`);
  } catch (problem) {
    if (isPassing(problem) || problem.status === TOO_FAST) return {};
    throw problem;
  }
}
