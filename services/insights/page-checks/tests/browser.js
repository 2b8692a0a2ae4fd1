// What the modules of the page expect of a browser. A test imports this module before the first module of the page.

import { JSDOM } from 'jsdom';

const dom = new JSDOM('<main></main>', { url: 'https://school.example/ui/' });

globalThis.window = dom.window;
globalThis.document = dom.window.document;
// A listener takes only a signal of the same window.
globalThis.AbortController = dom.window.AbortController;
globalThis.location = dom.window.location;
globalThis.addEventListener = dom.window.addEventListener.bind(dom.window);
// `navigator` of Node.js cannot be set as the others are.
Object.defineProperty(globalThis, 'navigator', { value: dom.window.navigator, configurable: true });

/** Show an address of the page, such as `#students?course=ALG1`. */
export function goTo(address) {
  dom.window.location.hash = address;
}

/** Change the value of an input or a select as somebody does who uses it. */
export function choose(control, value) {
  control.value = value;
  control.dispatchEvent(new dom.window.Event('input', { bubbles: true }));
}
