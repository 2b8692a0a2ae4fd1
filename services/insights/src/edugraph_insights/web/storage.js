// @ts-check
// What the page keeps in the browser. In a frame of another site some browsers deny it; then it is kept until the page is left.

/** A Storage of this page alone. */
class Memory {
  #kept = new Map();

  getItem(name) {
    return this.#kept.get(name) ?? null;
  }

  setItem(name, value) {
    this.#kept.set(name, String(value));
  }

  removeItem(name) {
    this.#kept.delete(name);
  }
}

/**
 * Return the storage of the browser with this name, or one of this page alone where the browser denies it.
 * @param {'localStorage' | 'sessionStorage'} name
 * @returns {Storage | Memory}
 */
function storage(name) {
  try {
    return window[name] ?? new Memory();
  } catch {
    return new Memory();
  }
}

export const ofTab = storage('sessionStorage');
export const ofBrowser = storage('localStorage');
