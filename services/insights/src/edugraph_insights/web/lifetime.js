// How long a view lasts. A view holds more than its elements: listeners of the document, observers, pictures. Each of
// these ends with the view, or else the elements of all earlier views would stay in memory.

let current = new AbortController();

/** End the view that is shown now, and begin another one. */
export function beginView() {
  current.abort();
  current = new AbortController();
}

/** Return the signal that aborts when the view of now ends. */
export const viewSignal = () => current.signal;
