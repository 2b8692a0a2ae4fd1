// @ts-check
// Signing in and out: what stands before the pages where somebody is not known, and who has signed in.

import { forget, hasKey, keep, write } from './api.js';
import { h, refusal } from './parts.js';
import { state } from './state.js';
import { ofTab } from './storage.js';
import { t } from './words.js';

// A view in a frame of a learning platform cannot sign in at the issuer, whose page allows no frame.
const IN_FRAME = window.top !== window;
const FAILURES = ['stale', 'refused', 'token', 'lti_platform', 'lti_cookie', 'lti_token', 'lti_role', 'lti_link'];
const VIEW = 'edugraph_view'; // where somebody was when they went to sign in; no server gets it

/** Whether the page has to ask who somebody is before it asks anything else. */
export const isUnknown = session => !hasKey() && ['out', 'ended'].includes(session.state);

/** Go back to where somebody was before they signed in; return whether there is such a view. */
export function goneBack(session) {
  const view = ofTab.getItem(VIEW);
  if (session.state !== 'in' || location.hash || !view) return false;
  ofTab.removeItem(VIEW);
  location.replace(view);
  return true;
}

/** Return who has signed in, with the way out; nothing where nobody has. */
export function account(session) {
  if (session?.state !== 'in') return null;
  const roles = session.roles.map(each => t(`role.${each}`)).join(t('list.comma')) || t('login.no_role');
  const leave = h('button', { type: 'button', onclick: () => signOut().catch(problem => leave.replaceWith(refusal(problem))) }, t('login.leave'));
  return h('span', { class: 'account' }, h('span', {}, t('login.who', { name: session.name || t('login.nameless'), roles })), leave);
}

async function signOut() {
  const { next } = await write('POST', '/ui/logout');
  forget();
  ofTab.removeItem(VIEW);
  location.assign(next);
}

/** Return what asks who somebody is; `known` is called when they gave a key. `session` is null where it is not known. */
export function signIn(session, problem, known) {
  const byKey = keyForm(problem, known);
  const why = state().login;
  const isOfPlatform = IN_FRAME || why?.startsWith('lti_');
  if (!session?.login && !isOfPlatform) return h('div', { class: 'sign-in' }, h('h1', {}, t('key.title')), byKey);
  // A sign-in that failed leads back to a view of its own, which is not where somebody wants to return.
  const remember = () => { if (!why) ofTab.setItem(VIEW, location.hash); };
  return h('div', { class: 'sign-in' }, h('h1', {}, t('login.title')),
    session?.state === 'ended' && !why && !isOfPlatform && h('p', { role: 'alert' }, t('login.ended')),
    why && h('p', { role: 'alert' }, t(`login.${FAILURES.includes(why) ? why : 'away'}`)),
    session?.state === 'in' && problem && refusal(problem),
    wayIn(session, isOfPlatform, remember),
    h('details', { open: hasKey() }, h('summary', {}, t('login.by_key')), byKey));
}

/** Return how somebody gets in: with another role, from the learning platform, or by the issuer. */
function wayIn(session, isOfPlatform, remember) {
  if (session?.state === 'in') return h('p', {}, t('login.ask_for_role'));
  if (isOfPlatform) return h('p', {}, t('login.from_platform'));
  return h('p', {}, h('a', { class: 'enter', href: session.login, onclick: remember }, t('login.enter')));
}

function keyForm(problem, known) {
  const input = h('input', { type: 'password', id: 'key', 'data-keep-focus': 'key', autocomplete: 'off', required: true, 'aria-describedby': 'key-note' });
  const form = h('form', { class: 'by-key' },
    problem && hasKey() && refusal(problem),
    h('label', { for: 'key' }, t('key.label')), input, h('p', { id: 'key-note', class: 'note' }, t('key.note')),
    h('button', { type: 'submit' }, t('key.enter')));
  form.addEventListener('submit', event => { event.preventDefault(); keep(input.value.trim()); known(); });
  return form;
}
