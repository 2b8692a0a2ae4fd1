// @ts-check
// Small drawings: a line of shares in time, and a picture beside the name of each page. The text beside a drawing says the same.

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

// What is drawn beside the name of a page, on a square of 20 × 20.
const PICTURES = {
  today: 'M4 11l4 4 8.5-10',
  school: 'M2.5 16.5h15M4 16.5V8.5L10 4.5l6 4v8M8.5 16.5V12.5h3v4',
  overview: 'M4 16.5v-5M10 16.5v-12M16 16.5V9',
  students: 'M4.5 7a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0-5.6 0M2.2 16c.7-6 9.5-6 10.2 0M13 4.5a2.7 2.7 0 0 1 0 5.1M14.6 12.2c1.8.5 2.9 1.9 3.2 3.8',
  items: 'M4 5.5h.1M4 10h.1M4 14.5h.1M8 5.5h8.5M8 10h8.5M8 14.5h5',
  analysis: 'M4 9a4.7 4.7 0 1 0 9.4 0a4.7 4.7 0 1 0-9.4 0M12.2 12.6l4.3 4.2',
  map: 'M2.5 10a2 2 0 1 0 4 0a2 2 0 1 0-4 0M13.5 5a2 2 0 1 0 4 0a2 2 0 1 0-4 0M13.5 15a2 2 0 1 0 4 0a2 2 0 1 0-4 0M6.3 9.2l7.3-3.4M6.3 10.8l7.3 3.4',
  people: 'M3 7a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0M11.5 13.5a2.7 2.7 0 1 0 5.4 0a2.7 2.7 0 1 0-5.4 0M9.3 9.6l2.7 2.4',
  review: 'M3.5 4.5h13v9.5H9l-3.5 2.8V14h-2zM7.2 9l2 2 3.6-3.8',
  imports: 'M10 3v9M6.3 8.8l3.7 3.7 3.7-3.7M3.5 16.5h13',
  privacy: 'M10 3l6 2.2v4.6c0 3.6-2.4 6-6 7.2c-3.6-1.2-6-3.6-6-7.2V5.2z',
  student: 'M7 6.8a3 3 0 1 0 6 0a3 3 0 1 0-6 0M4 16.5c.8-6.2 11.2-6.2 12 0',
  more: 'M4 10h.1M10 10h.1M16 10h.1',
};

/** Return the drawing that stands beside the name of a page. Readers of the screen are told the name alone. */
export const picture = name => svg('svg', { class: 'picture', viewBox: '0 0 20 20', 'aria-hidden': 'true' }, svg('path', { d: PICTURES[name] }));
