// @ts-check
// Data protection: one person's copy, restriction and erasure; who is restricted, the audit log, and where data is kept.
// Opening the page reads nobody: a list of persons and the entries of the log are asked for by a button, since each look is noted.

import { Problem, call, json, write } from '../api.js';
import { actionButton, asEnglish, block, folded, h, refusal, saveFile, table, value } from '../parts.js';
import { done } from '../tasks.js';
import { language, moment, plural, recordName, t, told } from '../words.js';

const ENTRIES = 50; // of the audit log at a time

export function privacy({ questions }) {
  const title = h('h1', {}, t('privacy.title'));
  if (!questions.has('privacy')) return [title, h('p', { class: 'refusal' }, t('privacy.not_yours'))];
  const scopes = scopesOnce();
  const people = h('div', {});
  const countAgain = () => {
    const counted = block(t('privacy.people'), () => whoIsWhat(scopes), { 'data-part': 'people' });
    people.replaceChildren(counted);
    return counted.done;
  };
  people.done = countAgain();
  return [
    title,
    h('p', { class: 'lead' }, t('privacy.noted')),
    block(t('privacy.person'), async () => onePerson(await scopes(), countAgain), { 'data-part': 'person' }),
    people,
    block(t('privacy.audit'), () => auditLog(scopes), { 'data-part': 'audit' }),
    block(t('privacy.places'), () => inventory(scopes), { 'data-part': 'places' }),
  ];
}

/** Return a function that returns the caller's scopes. It asks once, and again after a failure. */
function scopesOnce() {
  let asked = null;
  return async () => {
    asked ??= json('GET', '/v1/caller').then(answer => new Set(list(answer.scopes)));
    try {
      return await asked;
    } catch (problem) {
      asked = null;
      throw problem;
    }
  };
}

/** Return a list of an answer. Raises Problem where it is anything else. */
function list(found) {
  if (!Array.isArray(found)) throw new Problem(0, 'broken', '');
  return found;
}

/** Return the form about one person, with what came of it below. */
function onePerson(scopes, countAgain) {
  const student = h('input', { name: 'student', required: true, pattern: '.*\\S.*', autocomplete: 'off', spellcheck: 'false' });
  const also = lines('also');
  const names = lines('names');
  const said = h('p', { class: 'said', role: 'status', tabindex: '-1' });
  const outcome = h('div', { class: 'outcome' });
  const seesPersons = scopes.has('personal');
  const buttons = [
    scopes.has('privacy') && seesPersons && button('copy', copy),
    button('restrict', who => restrict(who, 'restriction')),
    button('lift', who => restrict(who, 'restriction/lift')),
    scopes.has('erase') && button('try', tryErasure),
  ].filter(Boolean);
  const form = h('form', { class: 'one-person', onsubmit: event => event.preventDefault(), oninput: forgetOutcome },
    h('label', {}, t('privacy.student'), student),
    scopes.has('erase') && folded(t('privacy.more'), h('label', {}, t('privacy.also'), also), h('label', {}, t('privacy.names'), names)),
    h('p', { class: 'search' }, buttons));
  return [form, !(scopes.has('privacy') && seesPersons) && h('p', { class: 'note' }, t('privacy.no_copy')),
    !scopes.has('erase') && h('p', { class: 'note' }, t('privacy.no_erasure')), said, outcome];

  function button(name, act) {
    return h('button', { type: 'button', 'data-act': name, onclick: () => { if (form.reportValidity()) run(act); } }, t(`privacy_act.${name}`));
  }

  /** A trial is about what was typed then: when that changes, it is gone, and with it the way to erase. */
  function forgetOutcome() {
    said.textContent = '';
    outcome.replaceChildren();
  }

  /** Do one thing at a time, and show what came of it or why it failed. */
  async function run(act) {
    if (form.hasAttribute('aria-busy')) return;
    form.setAttribute('aria-busy', 'true');
    const controls = [student, also, names];
    for (const each of controls) each.readOnly = true;
    for (const each of buttons) each.setAttribute('aria-disabled', 'true'); // and not `disabled`, by which the focus would be lost
    outcome.replaceChildren();
    said.textContent = t('privacy.waits');
    try {
      said.textContent = await act(student.value.trim());
    } catch (problem) {
      said.textContent = '';
      outcome.replaceChildren(refusal(problem));
    }
    form.removeAttribute('aria-busy');
    for (const each of controls) each.readOnly = false;
    for (const each of buttons) each.removeAttribute('aria-disabled');
  }

  async function copy(who) {
    const { export: name, entries } = await done(write('POST', `${addressOf(who)}/export`));
    if (typeof name !== 'string') throw new Problem(0, 'broken', '');
    const answer = await call('GET', `/v1/exports/${encodeURIComponent(name)}`, { Accept: 'application/zip' });
    const zip = await answer.blob().catch(() => { throw new Problem(0, 'broken', ''); });
    saveFile(name, zip, 'application/zip');
    outcome.replaceChildren(...countsTable({ copy: entries }));
    return t('privacy.copied', { who, name });
  }

  async function restrict(who, what) {
    const { found } = await done(write('POST', `${addressOf(who)}/${what}`));
    if (!found) return t('privacy.no_student', { who });
    countAgain();
    return t(what === 'restriction' ? 'privacy.restricted' : 'privacy.lifted', { who });
  }

  async function tryErasure(who) {
    const erased = { ids: [who, ...linesOf(also)], names: linesOf(names) };
    const found = await erase(erased, { dry_run: 'true' });
    if (found.known && seesPersons && isNothing(found)) return t('privacy.nothing_to_erase', { who });
    if (found.known) outcome.replaceChildren(...erasureReport(found, t('privacy.would_go'), seesPersons), confirmation(erased));
    return t(found.known ? 'privacy.tried' : 'privacy.not_known', { who });
  }

  /** Return the form that erases, once the id is typed again. */
  function confirmation(erased) {
    const [who] = erased.ids;
    const again = h('input', { name: 'again', autocomplete: 'off', spellcheck: 'false', required: true });
    const wrong = h('p', { class: 'refusal', role: 'alert', hidden: true }, t('privacy.not_the_same'));
    async function confirmed(event) {
      event.preventDefault();
      wrong.hidden = again.value.trim() === who;
      if (!wrong.hidden) return;
      said.focus(); // this form goes away, and what comes of it is said there
      await run(async () => {
        const found = await erase(erased, {});
        outcome.replaceChildren(...erasureReport(found, t('privacy.went'), seesPersons));
        countAgain();
        return t('privacy.erased', { who });
      });
    }
    return h('form', { class: 'one-person confirm', onsubmit: confirmed },
      h('p', {}, t('privacy.for_good')),
      h('label', {}, t('privacy.again', { who }), again),
      wrong,
      h('p', { class: 'search' }, h('button', { type: 'submit' }, t('privacy.erase'))));
  }
}

const addressOf = who => `/v1/students/${encodeURIComponent(who)}`;

const lines = name => h('textarea', { name, rows: 2, spellcheck: 'false' });

const linesOf = area => area.value.split('\n').map(line => line.trim()).filter(Boolean);

/** Erase a person, or say what would go, and return the report of the importer. */
function erase({ ids, names }, more) {
  const [whom, ...also] = ids;
  const query = new URLSearchParams(more);
  for (const id of also) query.append('also', id);
  for (const name of names) query.append('name', name);
  return done(write('DELETE', `${addressOf(whom)}?${query}`));
}

/** Show what an erasure took, or would take, and what it leaves. Without the scope personal only numbers are known. */
function erasureReport(found, heading, seesPersons) {
  const ids = (found.ids ?? []).map(each => each.student_id);
  return [
    h('h3', {}, heading),
    ids.length > 1 && h('p', {}, t('privacy.ids', { ids: ids.join(t('list.comma')) })),
    seesPersons ? countsTable(found.removed ?? {}) : h('p', { class: 'note' }, t('privacy.no_counts')),
    listing(found.left_in_all, plural('privacy.left', found.left_in_all), (found.left ?? []).map(({ store, key, reason }) => [told('eraser', store), ` · ${key}: `, asEnglish(reason)])),
    listing(found.mentions_in_all, plural('privacy.mentions', found.mentions_in_all), (found.mentions ?? []).map(({ label, record_id: id }) => `${told('went', label)} ${recordName(id)}`)),
    listing(found.claims_in_all, plural('privacy.claims', found.claims_in_all), (found.claims ?? []).map(({ person_id: id, also }) => `${id}: ${list(also).join(t('list.comma'))}`)),
    h('p', { class: 'note' }, t('privacy.not_reached')),
  ].flat(Infinity).filter(Boolean);
}

/** Return whether an erasure would change nothing about a person, who is known only as erased. It deletes the copies of others, too. */
function isNothing({ removed, left_in_all: left }) {
  const things = Object.values(removed ?? {}).flatMap(Object.entries);
  return !left && things.every(([thing, n]) => n === 0 || thing === 'exports');
}

/** Return a sentence with a number, and below it the lines that are known. */
function listing(inAll, sentence, each) {
  if (!inAll) return null;
  return [h('p', {}, sentence), each.length > 0 && h('ul', { class: 'lines' }, each.map(line => h('li', {}, line)))];
}

/** Return a table of numbers. `counts`: {part: {thing: number}} */
function countsTable(counts) {
  const rows = Object.entries(counts).flatMap(([part, things]) =>
    Object.entries(things ?? {}).filter(([, n]) => n > 0).map(([thing, n]) => ({ part, thing, n, record: `${part}-${thing}` })));
  return table(t('privacy.counts'), [
    { name: 'thing', label: t('privacy_column.thing'), text: true, cell: row => told('went', row.thing) },
    { name: 'part', label: t('privacy_column.part'), text: true, cell: row => told('eraser', row.part) },
    { name: 'n', label: t('privacy_column.n'), cell: row => value(row.n) },
  ], rows).filter(Boolean);
}

/** Show how many are erased, and behind a button who is restricted. */
async function whoIsWhat(scopes) {
  const erased = list((await json('GET', '/v1/erasures')).tombstones).length;
  const may = await scopes();
  const place = h('div', {});
  const show = asked(t('privacy.show_restricted'), place, async () => {
    const students = list((await json('GET', '/v1/restrictions')).students);
    return [
      h('p', {}, plural('privacy.restricted_now', students.length)),
      students.length > 0 && h('ul', { class: 'lines ids' }, students.map(student => h('li', {}, student))),
    ];
  });
  return [
    h('p', { 'data-erased': erased }, plural('privacy.erased_now', erased)),
    may.has('personal') ? h('p', { class: 'no-print' }, show, ' ', h('span', { class: 'note' }, t('privacy.is_noted'))) : h('p', { class: 'note' }, t('privacy.no_list')),
    place,
  ];
}

/** Return a button that fills a place with what is asked for, or with why there is nothing. */
function asked(words, place, content) {
  const fill = async () => {
    const parts = await content();
    place.replaceChildren(...parts.flat(Infinity).filter(Boolean));
  };
  return actionButton(words, fill, problem => place.replaceChildren(refusal(problem)));
}

/** Say whether the log is whole, and show its entries behind a button. */
async function auditLog(scopes) {
  if (!(await scopes()).has('privacy')) return [h('p', { class: 'note' }, t('privacy.no_audit'))];
  const log = await json('GET', '/v1/audit/state');
  const place = h('div', {});
  const of = h('input', { name: 'of', autocomplete: 'off', spellcheck: 'false' });
  let before = null;
  const page = async () => {
    const who = of.value.trim();
    const query = new URLSearchParams({ limit: String(ENTRIES), ...(before ? { before } : {}), ...(who ? { of: `student:${who}` } : {}) });
    const entries = list((await json('GET', `/v1/audit?${query}`)).entries);
    before = entries.length === ENTRIES ? entries.at(-1).number : null;
    return [auditTable(entries), before && h('p', { class: 'no-print' }, asked(t('privacy.older'), place, page))];
  };
  const first = asked(t('privacy.show_audit'), place, () => {
    before = null;
    return page();
  });
  return [
    log.fault === null
      ? h('p', { 'data-whole': '' }, plural('privacy.whole', log.entries))
      : h('div', { class: 'refusal', role: 'alert' }, h('p', {}, t('privacy.not_whole')), h('p', {}, asEnglish(String(log.fault)))),
    log.last && h('p', { class: 'note place' }, t('privacy.last'), ' ', h('code', {}, log.last)),
    h('form', { class: 'one-person no-print', onsubmit: event => { event.preventDefault(); first.click(); } },
      h('label', {}, t('privacy.of_student'), of),
      h('p', { class: 'search' }, first, h('span', { class: 'note' }, t('privacy.is_noted')))),
    place,
  ];
}

function auditTable(entries) {
  return table(plural('privacy.entries', entries.length), [
    { name: 'time', label: t('column.at'), text: true, cell: row => moment(row.time) },
    { name: 'who', label: t('privacy_column.who'), text: true, cell: row => row.who },
    { name: 'action', label: t('privacy_column.action'), text: true, cell: row => [told('audit', row.action), row.what && ` (${told('audit_what', row.what)})`] },
    { name: 'outcome', label: t('privacy_column.outcome'), text: true, cell: row => told('audit_outcome', row.outcome) },
    { name: 'purpose', label: t('privacy_column.purpose'), text: true, cell: row => row.purpose || '–' },
    { name: 'number', label: t('privacy_column.number'), cell: row => value(row.number) },
  ], entries.map(each => ({ ...each, record: each.number })), { none: t('privacy.no_entries') });
}

/** Show each place of personal data with what erases it and how long it is kept. */
async function inventory(scopes) {
  if (!(await scopes()).has('privacy')) return [h('p', { class: 'note' }, t('privacy.no_places'))];
  const { places, days } = await json('GET', '/v1/personal-data');
  if (typeof days !== 'object' || days === null) throw new Problem(0, 'broken', '');
  const ofLevel = level => list(places).filter(each => each.level === level);
  const [personal, pseudonymous] = ['personal', 'pseudonymous'].map(ofLevel);
  return [
    h('p', {}, t('privacy.texts', { kept: keptFor(days.EDUGRAPH_GRAPH_TEXT_RETENTION_DAYS) })),
    placesTable(plural('privacy.listed', personal.length), personal, days),
    folded(plural('privacy.pseudonymous', pseudonymous.length), placesTable(plural('privacy.pseudonymous', pseudonymous.length), pseudonymous, days)),
  ];
}

function placesTable(caption, places, days) {
  return table(caption, [
    { name: 'holds', label: t('privacy_column.holds'), text: true, prose: true, cell: row => row.holds[language] },
    { name: 'store', label: t('privacy_column.store'), text: true, cell: row => told('store', row.store) },
    { name: 'kept', label: t('privacy_column.kept'), text: true, prose: true, cell: row => row.kept[language] },
    { name: 'days', label: t('privacy_column.days'), text: true, cell: row => retention(row.retention, days) },
    { name: 'eraser', label: t('privacy_column.eraser'), text: true, cell: row => (row.eraser ? told('eraser', row.eraser) : t('privacy.no_eraser')) },
    { name: 'left', label: t('privacy_column.left'), text: true, prose: true, cell: row => row.left?.[language] ?? '–' },
  ], places.map(each => ({ ...each, record: each.name })), { look: 'places' });
}

const keptFor = days => (days === 0 ? t('privacy.for_ever') : plural('privacy.days', days ?? 0));

/** Return the days of a setting with its name. Another service than the gateway has some settings. */
function retention(setting, days) {
  if (!setting) return '–';
  const known = Object.hasOwn(days, setting);
  return [known ? keptFor(days[setting]) : t('privacy.set_elsewhere'), h('span', { class: 'unit' }, setting)];
}
