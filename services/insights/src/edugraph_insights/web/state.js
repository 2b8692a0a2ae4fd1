// @ts-check
// What is shown stands in the address after the `#`, so that a link reproduces the view. A browser never sends that
// part, so ids of students do not reach the log of a proxy that serves the page.

const KEPT = ['course', 'group', 'list', 'term', 'since', 'until', 'lang']; // from one page to the next

let parsed = { hash: null, values: null }; // each link of a table asks for it

export function state() {
  const { hash } = location;
  if (parsed.hash !== hash) {
    const [page, query = ''] = hash.slice(1).split('?');
    parsed = { hash, values: { page: page || 'overview', ...Object.fromEntries(new URLSearchParams(query)) } };
  }
  return { ...parsed.values };
}

/** Return the address of a page with what is kept of the present one; `more` adds to it, or takes away by ''. */
export function link(page, more = {}) {
  const now = state();
  const kept = Object.fromEntries(KEPT.filter(name => now[name]).map(name => [name, now[name]]));
  return address(page, { ...kept, ...more });
}

/** Return the address of the present view with some of its values changed. */
export function changed(more) {
  const { page, ...now } = state();
  return address(page, { ...now, ...more });
}

/** Return the address of a page with these values and nothing of the present one. */
export function address(page, values) {
  const given = Object.entries(values).filter(([, value]) => value !== '' && value !== undefined && value !== null);
  const query = new URLSearchParams(given).toString();
  return `#${page}${query ? `?${query}` : ''}`;
}
