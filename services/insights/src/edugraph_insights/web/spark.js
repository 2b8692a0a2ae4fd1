// @ts-check
// A small line of shares in time. The text and the table beside it say the same.

const NAMESPACE = 'http://www.w3.org/2000/svg';
const WIDE = 272;
const HIGH = 90;
const EDGE = 8;

function svg(tag, properties, ...children) {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Return a line through shares from 0 to 1. A share that is null is left out. */
export function sparkLine(label, shares) {
  const step = shares.length > 1 ? (WIDE - 2 * EDGE) / (shares.length - 1) : 0;
  const x = place => EDGE + place * step;
  const y = share => EDGE + (1 - share) * (HIGH - 2 * EDGE);
  const known = shares.map((share, place) => ({ share, place })).filter(({ share }) => share !== null);
  const line = known.map(({ share, place }) => `${x(place)},${y(share)}`).join(' ');
  const last = known.at(-1);
  return svg('svg', { class: 'spark', viewBox: `0 0 ${WIDE} ${HIGH}`, role: 'img', 'aria-label': label },
    svg('line', { class: 'half', x1: 0, x2: WIDE, y1: y(0.5), y2: y(0.5) }),
    svg('polyline', { points: line }),
    ...known.map(each => svg('circle', { cx: x(each.place), cy: y(each.share), r: each === last ? 4.5 : 2.4 })));
}
