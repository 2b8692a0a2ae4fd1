// @ts-check
// Pictures of numbers in time, by uPlot. A table beside each says the same.

import uPlot from './vendor/uplot/uPlot.esm.js';

import { signalOf } from './lifetime.js';
import { isOnPaper } from './paper.js';
import { colour, h } from './parts.js';

const NARROWEST = 280; // pixels
const ON_PAPER = 660; // pixels: the width of A4 without its margins

/**
 * Return a picture, which is drawn anew when its room or the colours change. `make(axis, uPlot)` gives {options, data} of uPlot;
 * `axis` has the colours of an axis.
 */
export function chart(label, make) {
  const place = h('div', { class: 'chart', role: 'img', 'aria-label': label });
  const signal = signalOf(place);
  let drawn = null;
  const paint = () => {
    drawn?.destroy();
    place.replaceChildren();
    const axis = { stroke: colour('text'), grid: { stroke: colour('line'), width: 1 }, ticks: { stroke: colour('line'), width: 1 } };
    const { options, data } = make(axis, uPlot);
    const Picture = /** @type {any} */ (uPlot); // it has no types
    const width = isOnPaper() ? ON_PAPER : Math.max(NARROWEST, place.clientWidth);
    drawn = new Picture({ width, legend: { show: false }, cursor: { show: false }, ...options }, data, place);
  };
  const observer = new ResizeObserver(paint);
  observer.observe(place);
  document.addEventListener('dressed', () => place.isConnected && paint(), { signal });
  signal.addEventListener('abort', () => {
    observer.disconnect();
    drawn?.destroy();
    drawn = null;
  }, { once: true });
  return place;
}
