// @ts-check
// Pictures of nodes and lines, by Cytoscape, which is loaded where a picture is drawn and not before.

import { loaded } from './api.js';
import { signalOf } from './lifetime.js';

let layersAreThere = false;

/** Return Cytoscape. Raises Problem. */
export async function withoutLayers() {
  const module = await loaded(() => import('./vendor/cytoscape/cytoscape.esm.min.mjs'));
  return module.default;
}

/** Return Cytoscape with the layout that puts each node to the right of what it needs. Raises Problem. */
export async function withLayers() {
  const cytoscape = await withoutLayers();
  const dagre = await loaded(() => import('./vendor/cytoscape-dagre/cytoscape-dagre.min.mjs'));
  if (!layersAreThere) cytoscape.use(dagre.default);
  layersAreThere = true;
  return cytoscape;
}

/**
 * Return a Cytoscape that is drawn into `place` after the next frame, so that the tables stand first. `style()` gives the
 * style in the colours of now, `arrange(cy)` places the nodes. The picture ends with `place`.
 */
export function network(cytoscape, place, options, style, arrange) {
  const signal = signalOf(place);
  const cy = cytoscape({ ...options, style: style() });
  const draw = () => {
    if (signal.aborted || !place.isConnected) return;
    cy.mount(place);
    cy.style(style());
    arrange(cy);
  };
  requestAnimationFrame(() => setTimeout(draw));
  document.addEventListener('dressed', () => place.isConnected && cy.style(style()), { signal });
  signal.addEventListener('abort', () => cy.destroy(), { once: true });
  // Paper does not wait for the next frame, in which the picture would get other colours: page.css turns them there.
  cy.on('render', () => { place.dataset.drawn = document.documentElement.dataset.theme; });
  place.picture = cy; // a test looks at what is drawn
  return cy;
}
