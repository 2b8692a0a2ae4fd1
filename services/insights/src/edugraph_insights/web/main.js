// @ts-check
// The frame of the page: who asks, about what, and which page is shown.

import { ask, forget, hasKey, keep, loaded, renewSession, whoIsIn } from './api.js';
import { picture } from './drawings.js';
import { focusIn, giveBack, keepingFocus } from './focus.js';
import { beginView } from './lifetime.js';
import { paperHead, paperNote } from './paper.js';
import { h, refusal } from './parts.js';
import { account, goneBack, isUnknown, signIn } from './signing.js';
import { changed, link, state } from './state.js';
import { ofBrowser } from './storage.js';
import { chosenDays, timesAsked } from './times.js';
import { savedViews } from './views.js';
import { LANGUAGES, hasWords, language, showIn, speak, t } from './words.js';

// Each page with the question of the API without which it has nothing to say. `of` are the callers whom it is for, by what they see.
// The module of a page is loaded when the page is shown first, and exports the page by its name.
const PAGES = {
  today: { load: () => import('./pages/today.js'), needs: 'today' },
  school: { load: () => import('./pages/school.js'), needs: 'terms', of: ['everybody', 'groups', 'cells'] },
  overview: { load: () => import('./pages/overview.js'), needs: 'weak-points' },
  students: { load: () => import('./pages/students.js'), needs: 'roster' },
  items: { load: () => import('./pages/items.js'), needs: 'items' },
  analysis: { load: () => import('./pages/analysis.js'), needs: 'untaught-points' },
  map: { load: () => import('./pages/map.js'), needs: 'course-map' },
  people: { load: () => import('./pages/people.js'), needs: 'ties' },
  review: { load: () => import('./pages/review.js'), needs: 'review-queue' },
  student: { load: () => import('./pages/student.js'), needs: 'student', hidden: true },
  point: { load: () => import('./pages/point.js'), needs: 'point', hidden: true },
  records: { load: () => import('./pages/records.js'), needs: 'records', hidden: true },
  // Two pages without a question: who may import, or act for data protection, may see them. They need no course.
  imports: { load: () => import('./pages/imports.js'), needs: 'imports' },
  privacy: { load: () => import('./pages/privacy.js'), needs: 'privacy' },
};
const WITHOUT_COURSE = ['imports', 'privacy'];
const RENEW_MS = 240_000; // the rights of a session count for ten minutes
const THEMES = ['auto', 'light', 'dark'];
const AT_FOOT = 4; // pages that stand at the foot of a phone, beside the button for all others
// What is said where the words of no language could be loaded.
const WITHOUT_WORDS = 'EduGraph cannot be shown now. Load this page again. 现在无法显示 EduGraph，请重新加载此页面。';
const [head, main, status] = ['head', 'main', 'status'].map(id => document.getElementById(id));
let choices = null; // what the caller may ask about, and which questions
let areChoicesOld = false; // something was imported since they were asked for
let session = null; // who has signed in
let arrived = false; // whether a page was shown before: only then the focus has to be led to the new one
let shown = 0; // which showing is the latest: an answer to an older one is thrown away

/** Show the page that the address names. A bug of the page ends in a sentence, as any other failure does. */
async function show() {
  const mine = ++shown;
  try {
    await showPage(mine);
  } catch (problem) {
    if (mine !== shown) return;
    // Some browsers remember that a module did not come, until the whole page is loaded again.
    const again = h('button', { type: 'button', onclick: () => location.reload() }, t('status.again'));
    main.replaceChildren(h('h1', {}, t('status.away')), refusal(problem), again);
    main.dataset.ready = String(mine);
  } finally {
    if (mine === shown) main.style.minHeight = '';
  }
}

async function showPage(mine) {
  delete main.dataset.ready;
  const before = focusIn(document);
  const { page, lang } = state();
  // The module of the page comes while the words and the session are asked for. Its failure is seen below, where it is needed.
  if (Object.hasOwn(PAGES, page)) PAGES[page].load().catch(() => {});
  try {
    await speak(lang);
    session = await whoIsIn();
    if (goneBack(session)) return;
    // A link after an import leads to a course that may be newer than the choices.
    const isCourseNew = choices !== null && state().course && !isChoice(state().course);
    if (isCourseNew) forget();
    if (!isUnknown(session) && (choices === null || areChoicesOld || isCourseNew)) {
      const found = await asked();
      if (mine !== shown) return;
      choices = found;
      areChoicesOld = false;
    }
  } catch (problem) {
    if (mine === shown) askWho(problem);
    return;
  }
  if (mine === shown && isUnknown(session)) askWho(null);
  if (isUnknown(session)) return;
  if (mine !== shown) return;
  // A link of a learning platform names a course, and the first page depends on who follows it.
  const isStart = !location.hash || page === 'start';
  if (!isChoice(state().course) && choices.courses.length) {
    // The first course, on the first page that is open to the caller, so that there is something to see.
    const first = { course: choices.courses[0].id, group: '', list: '' };
    location.replace(isStart ? firstAddress({ ...first, term: lastTerm() }) : link(page, { ...first, term: '' }));
    return;
  }
  if (page === 'start') {
    location.replace(firstAddress({ term: lastTerm() }));
    return;
  }
  const known = pageFor(page);
  const { [known]: partsOf } = await loaded(PAGES[known].load);
  if (mine !== shown) return;
  beginView();
  frame(known);
  // Drawn again, a page keeps its height until its answers are there: who reads far below stays there.
  const former = /** @type {HTMLElement | null} */ (main.querySelector('.page'));
  if (former?.dataset.page === known) main.style.minHeight = `${main.offsetHeight}px`;
  const content = h('div', { class: 'page', 'data-page': known });
  main.replaceChildren(content);
  giveBack(before); // what is in the head is there again, and waits for no answer
  if (!choices.courses.length && !WITHOUT_COURSE.includes(known)) {
    const toImports = choices.questions.has('imports') && h('a', { href: link('imports') }, t('nav.imports'));
    content.append(h('h1', {}, t('overview.title')), h('p', {}, t('status.no_courses'), ' ', toImports || ''));
    if (toImports) await beginWithExample(content);
  }
  else {
    const parts = partsOf({ ...choices, ...questionParameters() });
    content.append(...[...parts, paperNote(known, isStudent())].filter(Boolean));
    document.title = `${content.querySelector('h1').textContent} – EduGraph`;
    await Promise.all(parts.map(part => part?.done));
  }
  if (mine !== shown) return;
  if (!giveBack(before) && arrived) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  arrived = true;
  status.textContent = t('status.ready', { page: document.title });
  main.dataset.ready = String(mine);
}

const isChoice = course => choices.courses.some(each => each.id === course);

/** Offer the example school where nothing has been imported yet. The page says what it says without it, too. */
async function beginWithExample(content) {
  const { exampleSchool } = await loaded(() => import('./pages/example.js'));
  const offer = exampleSchool();
  content.append(offer);
  await offer.done;
}

/** Return the address of the first page that is open to the caller. A student begins with the page about themselves. */
function firstAddress(more = {}) {
  if (choices && isStudent()) return link('student', { student: choices.person, ...more });
  if (choices && isHead()) return link('school', more);
  const first = Object.keys(PAGES).find(isOpen) ?? 'overview';
  return link(first, more);
}

/** Return the page that is shown for a name. Who may ask no question is shown no page of questions. */
function pageFor(name) {
  if (seesNobody() && !(Object.hasOwn(PAGES, name) && isOpen(name))) return Object.keys(PAGES).find(isOpen) ?? 'privacy';
  return Object.hasOwn(PAGES, name) ? name : 'overview';
}

/** Return whether the caller may act for data protection and ask no question. */
const seesNobody = () => choices.sees === 'nobody';

/** Return whether a page is open to the caller and meant for them. */
function isOpen(name) {
  const { needs, of } = PAGES[name];
  return Boolean(choices?.questions.has(needs)) && (!of || of.includes(choices.sees));
}

/** Return whether the caller sees the whole school and leads nobody. Only who leads students sees what was done about them. */
const isHead = () => isOpen('school') && !choices.questions.has('actions');

const isStudent = () => choices.sees === 'self' && choices.questions.has('student');

/** Return the term of today, or the last one before it: records of earlier terms are not about what is to be done now. */
function lastTerm() {
  const begun = choices.terms.filter(each => Date.parse(each.starts) <= Date.now());
  return begun.sort((a, b) => Date.parse(b.starts) - Date.parse(a.starts))[0]?.id ?? '';
}

async function asked() {
  const [may, catalogue] = await Promise.all([ask('/choices'), ask('')]);
  showIn(may.time_zone);
  const pages = WITHOUT_COURSE.filter(name => may[name]);
  return { ...may, questions: new Set([...catalogue.questions.map(each => each.name), ...pages]) };
}

/** Return what the filters say as parameters of a question, and the time of the term whatever days of it are chosen. */
function questionParameters() {
  const { course, group, list, term } = state();
  const during = choices.terms.find(each => each.id === term);
  return { asked: { course, group, list, ...timesAsked(during) }, during: { from: during?.starts, to: during?.ends } };
}

/** Draw the head: at the side of a wide screen, above the page on a smaller one, and partly at the foot of a phone. */
function frame(page) {
  const now = state();
  const hasFilters = choices && !seesNobody();
  const more = h('button', { type: 'button', class: 'more', 'aria-expanded': 'false', 'aria-controls': 'sheet', 'data-keep-focus': 'more', onclick: () => openSheet(!head.classList.contains('open')) }, picture('more'), t('nav.more'));
  const parts = [
    h('a', { class: 'skip', href: location.hash, onclick: event => { event.preventDefault(); main.focus(); } }, t('nav.skip')),
    h('a', { class: 'brand', href: firstAddress() }, h('img', { src: 'icon.svg', alt: '', width: 22, height: 22 }), 'EduGraph'),
    hasFilters ? [paperHead(page, choices), filters(now)] : [],
    h('div', { class: 'pages' }, pageLinks(page), more),
    h('div', { class: 'sheet', id: 'sheet' },
      otherLinks(page),
      h('div', { class: 'tools' }, hasFilters && savedViews(), languages(now), themes(),
        h('button', { type: 'button', onclick: () => print() }, t('nav.print')),
        account(session),
        hasKey() && h('button', { type: 'button', onclick: () => { keep(''); choices = null; show(); } }, t('key.leave')))),
  ];
  head.classList.remove('open');
  head.replaceChildren(...parts.flat());
}

/** Show or hide what has no room at the foot of a phone. On wider screens it is always shown. */
function openSheet(isOpened) {
  head.classList.toggle('open', isOpened);
  head.querySelector('.more').setAttribute('aria-expanded', String(isOpened));
}

/** Return the names of the pages that the head leads to. A student has the page about themselves, and no list of students. */
function pagesOfHead() {
  const names = Object.keys(PAGES).filter(name => !PAGES[name].hidden && isOpen(name));
  if (!choices || !isStudent()) return names;
  return ['student', ...names.filter(name => name !== 'students')];
}

function linkToPage(name, page) {
  const more = name === 'student' ? { student: choices.person } : {};
  return h('a', { href: link(name, more), 'aria-current': name === page ? 'page' : null, 'data-keep-focus': `nav-${name}` }, picture(name), t(`nav.${name}`));
}

const pageLinks = page => h('nav', { 'aria-label': t('nav.pages') }, pagesOfHead().slice(0, AT_FOOT).map(name => linkToPage(name, page)));

/** Return the links that have no room at the foot of a phone. */
function otherLinks(page) {
  const names = pagesOfHead().slice(AT_FOOT);
  return h('nav', { 'aria-label': t('nav.more_pages'), hidden: names.length === 0 }, names.map(name => linkToPage(name, page)));
}

function languages(now) {
  return h('span', { role: 'group', 'aria-label': t('nav.language') }, Object.entries(LANGUAGES).map(([code, name]) =>
    h('a', { class: 'choice', href: changed({ lang: code }), lang: code, hreflang: code, 'aria-current': code === language ? 'true' : null, 'data-keep-focus': `lang-${code}`,
      onclick: event => { if (now.lang === code) event.preventDefault(); } }, name)));
}

function themes() {
  const wanted = ofBrowser.getItem('edugraph_theme') ?? 'auto';
  const select = h('select', { 'aria-label': t('nav.theme') }, THEMES.map(each => h('option', { value: each, selected: each === wanted }, t(`theme.${each}`))));
  select.addEventListener('change', () => { ofBrowser.setItem('edugraph_theme', select.value); dress(); });
  return select;
}

function dress({ onPaper = false } = {}) {
  const wanted = ofBrowser.getItem('edugraph_theme') ?? 'auto';
  if (onPaper) document.documentElement.dataset.paper = '';
  else delete document.documentElement.dataset.paper;
  const dark = !onPaper && (wanted === 'dark' || (wanted === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches));
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  document.dispatchEvent(new Event('dressed'));
}

function filters(now) {
  const groups = choices.groups.filter(each => each.courses.length === 0 || each.courses.includes(now.course));
  const lists = choices.lists.filter(each => each.course === now.course);
  const pick = (name, label, options, all) => h('label', {}, `${label} `, h('select', { name, 'data-keep-focus': `pick-${name}`,
    onchange: event => { location.hash = changed({ [name]: event.target.value, ...(name === 'group' || name === 'list' ? {} : { since: '', until: '' }), ...(name === 'course' ? { group: '', list: '', point: '', student: '', item: '', of: '', who: '', community: '', at: '' } : {}) }); } },
    all && h('option', { value: '' }, all), options.map(each => h('option', { value: each.id, selected: each.id === now[name] }, each.name === each.id || name === 'list' ? each.name : `${each.name} (${each.id})`))));
  return h('form', { class: 'filters', 'aria-label': t('filter.title'), onsubmit: event => event.preventDefault() },
    pick('course', t('filter.course'), choices.courses),
    groups.length > 0 && pick('group', t('filter.group'), groups, t('filter.all_groups')),
    lists.length > 0 && pick('list', t('filter.list'), lists, t('filter.no_list')),
    choices.terms.length > 0 && pick('term', t('filter.term'), choices.terms, t('filter.all_terms')),
    chosenDays(),
    choices.sees === 'cells' && h('p', { class: 'note' }, t('filter.cells')));
}

/** Ask who somebody is where that is needed; another problem is told. */
function askWho(problem) {
  choices = null;
  beginView();
  if (!hasWords()) {
    main.replaceChildren(h('p', { class: 'refusal', role: 'alert' }, WITHOUT_WORDS));
    main.dataset.ready = String(shown);
    return;
  }
  frame('');
  const away = problem && !['key', 'session', 'role', 'rows'].includes(problem.type);
  const asks = away ? h('div', {}, h('h1', {}, t('status.away')), refusal(problem), h('button', { type: 'button', 'data-keep-focus': 'again', onclick: show }, t('status.again'))) : signIn(session, problem, show);
  keepingFocus(main, () => main.replaceChildren(asks), () => asks.querySelector('h1'));
  document.title = 'EduGraph';
  main.dataset.ready = String(shown);
}

// Who reads one page for long, or imports a large file, asks insights for nothing meanwhile.
setInterval(() => { if (session?.state === 'in') renewSession(); }, RENEW_MS);

// A session that ends while a page is shown: what is shown goes, and the way back to the same view is offered.
document.addEventListener('session-ended', () => {
  if (session?.state !== 'in') return;
  session = null;
  choices = null;
  forget();
  show();
});
dress();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => dress());
addEventListener('hashchange', show);
head.addEventListener('keydown', event => {
  if (event.key !== 'Escape' || !head.classList.contains('open')) return;
  openSheet(false);
  /** @type {HTMLElement} */ (head.querySelector('.more')).focus();
});

const newFilters = () => head.querySelector('form.filters')?.replaceWith(filters(state()));

/** Ask for the choices again, and return whether they came. Where they do not, the next page asks, and says why. */
async function hasNewChoices() {
  // A page that is being drawn goes on with the choices of before: they must not be missing in between.
  areChoicesOld = true;
  const found = await asked().catch(() => null);
  if (!found || choices === null) return false; // nobody is signed in any more
  choices = found;
  areChoicesOld = false;
  return true;
}

document.addEventListener('imported', async () => { // there may be a new course to choose
  forget();
  if (await hasNewChoices() && state().page === 'imports') {
    keepingFocus(head, () => { // and not the rest of the head, where somebody may be typing
      head.querySelector('.pages nav').replaceWith(pageLinks('imports'));
      head.querySelector('.sheet nav').replaceWith(otherLinks('imports'));
      newFilters();
    });
  }
});
document.addEventListener('lists', async event => { // a list was made, changed or deleted
  const { detail: next } = /** @type {CustomEvent} */ (event); // where it is shown, or '' to stay
  areChoicesOld = true;
  if (next === location.hash) show();
  else if (next) location.hash = next;
  else if (await hasNewChoices()) keepingFocus(head, newFilters);
});
addEventListener('beforeprint', () => dress({ onPaper: true }));
addEventListener('afterprint', () => dress());
addEventListener('beforeprint', () => {
  /** @type {NodeListOf<HTMLDetailsElement>} */
  const folded = document.querySelectorAll('main details:not([open])');
  for (const each of folded) {
    each.open = true;
    addEventListener('afterprint', () => { each.open = false; }, { once: true });
  }
});
show();
