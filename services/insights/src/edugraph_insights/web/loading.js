// @ts-check
// Parts of the page that are loaded when they are needed, and not with the first page.

import { Problem, inTime } from './api.js';

/** Return the module that `load` imports. Raises Problem if it does not come. */
export async function loaded(load) {
  try {
    return await inTime(load());
  } catch {
    throw new Problem(0, 'unavailable', '');
  }
}
