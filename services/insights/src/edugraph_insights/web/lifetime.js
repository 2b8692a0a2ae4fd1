// @ts-check
// How long a view lasts. A view holds more than its elements: listeners of the document, observers, pictures. Each of
// these ends with the view, or else the elements of all earlier views would stay in memory. A block that asks again
// replaces its own pictures while the view goes on, so each picture has an end of its own.

let current = new AbortController();
const pictures = new Map(); // element of a picture in this view -> what ends the picture

/** End the view that is shown now, and begin another one. */
export function beginView() {
  current.abort();
  current = new AbortController();
  for (const end of pictures.values()) end.abort();
  pictures.clear();
}

/** Return the signal that aborts when the view of now ends. */
export const viewSignal = () => current.signal;

/** Return the signal that aborts when the picture in an element ends, at the latest with the view of now. */
export function signalOf(element) {
  const end = new AbortController();
  pictures.set(element, end);
  return end.signal;
}

/** End the pictures inside of an element, whose content is to be replaced. */
export function endPictures(inside) {
  for (const [element, end] of pictures) {
    if (!inside.contains(element)) continue;
    pictures.delete(element);
    end.abort();
  }
}
