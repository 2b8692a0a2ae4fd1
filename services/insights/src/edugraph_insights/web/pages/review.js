// @ts-check
// Is what was read right, and which points are the same? One thing after another, judged by keyboard in seconds. A
// verdict goes to the gateway, and is shown at once; where it could not be taken, or could not be written later, the page
// says so and it is open again.

import { Problem, ask, json, write } from '../api.js';
import { keepingFocus } from '../focus.js';
import { block, h, how, refusal, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { ofBrowser } from '../storage.js';
import { moment, share, t } from '../words.js';

const LISTED = 200; // at first
const MOST = 5000; // what the API gives at most
const FEWEST_JUDGED = 50; // verdicts from which the API measures a confidence
const KINDS = ['knowledge_point', 'error_type', 'what_went_wrong', 'topic', 'tests', 'same', 'misconception', 'excluded', 'proposed', 'followed'];
const SHOWN = ['open', 'judged', 'all'];
const KEYS_OFF = 'edugraph_review_keys_off';
const said = new Map(); // key of a row -> what was said of it in this tab: {verdict, instead, targets}
const LOOKS_MS = [500, 1000, 2000, 4000, 8000, 15_000, 30_000, 60_000]; // between two looks at a task; after all of them nobody waits
let unwritten = 0; // verdicts that the gateway took and the importer has not written yet
let sending = Promise.resolve(); // one after the other: the last word about a thing counts

// A sentence in one mistake is another thing to judge than two sentences that may say the same.
const OF_ASPECT = { misconception: 'what_went_wrong' };
const kindOf = row => (row.kind === 'finding' ? OF_ASPECT[row.aspect] ?? row.aspect : row.kind);
// What can be said of a kind of row, by key. Only a finding and what an item tests can be corrected.
const FINDING = { a: 'accepted', r: 'rejected' };
const PAIR = { m: 'same', n: 'different' };
const OF_PAIR = { same: 'knowledge_point', misconception: 'misconception' }; // the kind of a row -> what its two things are
const NEED = { a: 'accepted', r: 'rejected' };
const VERDICTS = { finding: FINDING, tests: FINDING, same: PAIR, misconception: PAIR, excluded: NEED, proposed: NEED, followed: NEED };
const before = row => (row.verdict || row.instead?.length ? { verdict: row.verdict, instead: row.verdict === 'rejected' ? row.instead : [], targets: [...(row.verdict ? [row.target] : []), ...(row.verdict === 'rejected' ? row.instead : [])] } : null);
const now = row => (said.has(row.key) ? said.get(row.key) : before(row));

export function review({ asked, questions, reviews }) {
  return [
    h('h1', {}, t('review.title')),
    !reviews && h('p', { class: 'note' }, t('review.read_only')),
    block(t('review.queue'), () => queue(asked, questions, reviews), { 'data-question': 'review-queue' }),
  ];
}

async function queue(asked, questions, mayReview) {
  const { shown = 'open', of = '', limit } = state();
  const most = Math.min(Number(limit) || LISTED, MOST);
  const [answer, points, places] = await Promise.all([
    ask('/review-queue', { ...asked, limit: most }),
    questions.has('review-points') ? ask('/review-points', { ...asked, limit: most }) : null,
    questions.has('course-map') ? ask('/course-map', asked) : null,
  ]);
  const all = [...answer.rows, ...(points?.rows ?? []).map(row => ({ ...row, target: row.other }))];
  const rows = all.filter(row => (!of || kindOf(row) === of) && (shown === 'all' || Boolean(now(row)?.verdict) === (shown === 'judged')));
  const more = [answer, points].some(each => each && each.of_how_many['to review'] > each.rows.length) && most < MOST;
  const desk = new Desk([answer, points].filter(Boolean), rows, choicesOf(answer.rows, places), mayReview);
  return [
    filters(shown, of),
    desk.element,
    more && h('p', { class: 'no-print' }, h('a', { href: changed({ limit: most * 5 }) }, t('review.more'))),
    how('review-queue', answer),
    points && how('review-points', points),
  ];
}

/** Return by aspect what a finding can be corrected to: name -> id. */
function choicesOf(rows, places) {
  const choices = { knowledge_point: new Map(), error_type: new Map(), misconception: new Map(), topic: new Map() };
  for (const row of rows) choices[row.aspect].set(row.name, row.target);
  for (const place of places?.rows ?? []) choices.knowledge_point.set(place.name, place.point);
  return choices;
}

function filters(shown, of) {
  const pick = (name, label, wanted, options) => h('label', {}, `${label} `, h('select', { name, 'data-keep-focus': `review-${name}`, onchange: event => { location.hash = changed({ [name]: event.target.value, at: '' }); } },
    options.map(([each, words]) => h('option', { value: each, selected: each === wanted }, words))));
  return h('p', { class: 'search no-print' },
    pick('shown', t('review.show'), shown, SHOWN.map(each => [each, t(`shown.${each}`)])),
    pick('of', t('review.of'), of, [['', t('review_of.all')], ...KINDS.map(each => [each, t(`review_of.${each}`)])]));
}

/** The list of what is to be reviewed, and the one finding that is looked at. */
class Desk {
  constructor(answers, rows, choices, mayReview) {
    this.answers = answers;
    this.rows = rows;
    this.choices = choices;
    this.mayReview = mayReview;
    this.problem = null;
    this.correcting = false;
    this.typed = '';
    this.place = Math.max(0, rows.findIndex(row => row.key === state().at));
    this.progress = h('p', { class: 'progress', 'aria-live': 'polite' });
    this.list = h('ol', { class: 'queue', 'aria-label': t('review.list') });
    this.panel = h('div', { class: 'panel review-panel' });
    this.element = h('div', {}, this.progress, rows.length ? h('div', { class: 'queue-and-panel' }, this.panel, this.list) : h('p', {}, t('review.none')));
    this.items = rows.map((row, place) => h('li', {}, h('a', { href: changed({ at: row.key }), onclick: event => { event.preventDefault(); this.go(place); } })));
    this.list.append(...this.items);
    const over = new AbortController();
    addEventListener('hashchange', () => over.abort(), { once: true });
    document.addEventListener('keydown', event => this.press(event), { signal: over.signal });
    this.draw();
  }

  get row() { return this.rows[this.place]; }

  press(event) {
    const typing = event.target.matches?.('input:not([type=checkbox]), select, textarea');
    const elsewhere = !this.element.isConnected || typing || event.ctrlKey || event.metaKey || event.altKey;
    if (elsewhere || !this.row || ofBrowser.getItem(KEYS_OFF)) return;
    const key = event.key.toLowerCase();
    const moves = { j: () => this.go(this.place + 1), k: () => this.go(this.place - 1) };
    const verdict = VERDICTS[this.row.kind][key];
    const judges = verdict ? { [key]: () => this.say(verdict) } : { c: () => this.correct(), u: () => this.undo() };
    const act = moves[key] ?? (this.mayReview ? judges[key] : undefined);
    if (!act) return;
    event.preventDefault();
    act();
  }

  go(place) {
    if (place < 0 || place >= this.rows.length) return;
    Object.assign(this, { place, correcting: false, typed: '' });
    history.replaceState(null, '', changed({ at: this.row.key })); // a link shows the same finding; nothing is asked anew
    this.draw();
    this.panel.querySelector('h3').focus({ preventScroll: true });
  }

  say(verdict) {
    this.send(this.row, { verdict, instead: [], targets: [this.row.target] }, [this.reviewOf(this.row, this.row.target, verdict)]);
    this.goOn();
  }

  correct() {
    if (VERDICTS[this.row.kind] !== FINDING) return;
    this.correcting = true;
    this.draw();
    this.panel.querySelector('#instead').focus();
  }

  replace(name) {
    const target = this.choices[this.row.aspect].get(name);
    if (!target || target === this.row.target) return false;
    const reviews = [this.reviewOf(this.row, this.row.target, 'rejected'), this.reviewOf(this.row, target, 'accepted')];
    this.send(this.row, { verdict: 'rejected', instead: [target], targets: [this.row.target, target] }, reviews);
    this.goOn();
    return true;
  }

  undo() {
    const last = now(this.row);
    if (!last) return;
    this.send(this.row, null, last.targets.map(target => this.reviewOf(this.row, target, 'withdrawn')));
    this.draw();
  }

  /** Go to the next finding that is open; at the end, stay. */
  goOn() {
    const next = this.rows.findIndex((row, place) => place > this.place && !now(row)?.verdict);
    if (next >= 0) this.go(next);
    else {
      this.correcting = false;
      this.draw();
    }
  }

  reviewOf(row, target, verdict) {
    if (row.kind in OF_PAIR) return { kind: 'pair', of: OF_PAIR[row.kind], pair: [row.point, row.other], verdict };
    if (VERDICTS[row.kind] === NEED) return { kind: 'prerequisite', point: row.point, requires: target, verdict };
    return row.kind === 'tests'
      ? { kind: 'tests', item_id: row.item, knowledge_point: target, verdict }
      : { kind: 'finding', record_id: row.record, text_hash: row.text_hash, aspect: row.aspect, target, verdict };
  }

  send(row, saying, reviews) {
    const old = said.has(row.key) ? { was: said.get(row.key) } : null;
    said.set(row.key, saying);
    this.problem = null;
    const takeBack = problem => {
      if (!('type' in problem)) throw problem;
      if (said.get(row.key) === saying) { // else something was said of it since
        if (old) said.set(row.key, old.was);
        else said.delete(row.key);
      }
      this.problem = { problem, row };
      if (this.element.isConnected) this.draw();
    };
    sending = sending.then(() => write('POST', '/v1/reviews', { reviews })).then(accepted => {
      this.written(accepted.links.task).catch(takeBack); // the next verdict does not wait for it
    }, takeBack);
  }

  /** Follow the task that writes a verdict to its end. Raises Problem where the importer gave it up. */
  async written(task) {
    unwritten += 1;
    this.tell();
    try {
      for (const pause of LOOKS_MS) {
        await new Promise(done => setTimeout(done, pause));
        const { state: became, error } = await json('GET', task);
        if (became === 'SUCCESS') return;
        if (became === 'FAILURE' || became === 'REVOKED') throw new Problem(0, 'not-written', error ?? '');
      }
    } catch (problem) {
      if (problem.type === 'not-written' || !('type' in problem)) throw problem; // another: tasks cannot be read now, or by this key
    } finally {
      unwritten -= 1;
      this.tell();
    }
  }

  tell() {
    this.progress.replaceChildren(...progress(this.answers));
  }

  draw() {
    this.items.forEach((item, place) => entry(item.firstChild, this.rows[place], place === this.place));
    this.items[this.place]?.scrollIntoView({ block: 'nearest' });
    this.tell();
    if (this.row) keepingFocus(this.panel, () => this.panel.replaceChildren(...this.parts().flat(Infinity).filter(Boolean)), () => this.panel.querySelector('h3'));
  }

  parts() {
    const { row } = this;
    return [
      this.problem && h('div', { class: 'failed' }, h('p', {}, t('review.failed', { name: this.problem.row.name })), refusal(this.problem.problem),
        h('button', { type: 'button', onclick: () => this.go(this.rows.indexOf(this.problem.row)) }, t('review.back'))),
      h('p', { class: 'note' }, t('review.place', { n: this.place + 1, of: this.rows.length })),
      h('h3', { tabindex: '-1' }, t(`asks.${kindOf(row)}`, { name: row.name, item: row.other_name ?? row.title ?? row.item ?? '' })),
      verdict(row, this.choices),
      this.correcting ? this.correction() : this.buttons(),
      VERDICTS[row.kind] === FINDING ? details(row) : detailsOfPoints(row),
    ];
  }

  buttons() {
    const button = (key, words, act, allowed = true) => h('button', { type: 'button', 'aria-keyshortcuts': key, 'data-keep-focus': `review-${key}`, onclick: act, disabled: !allowed }, words, ' ', h('kbd', {}, key));
    const keys = h('input', { type: 'checkbox', 'data-keep-focus': 'review-keys', checked: !ofBrowser.getItem(KEYS_OFF), onchange: event => {
      if (event.target.checked) ofBrowser.removeItem(KEYS_OFF);
      else ofBrowser.setItem(KEYS_OFF, 'off');
    } });
    const judging = () => [
      Object.entries(VERDICTS[this.row.kind]).map(([key, verdict]) => button(key, t(`says.${verdict}`), () => this.say(verdict))),
      VERDICTS[this.row.kind] === FINDING && button('c', t('review.correct'), () => this.correct()),
      button('u', t('review.undo'), () => this.undo(), Boolean(now(this.row))),
    ];
    return h('div', { class: 'verdicts no-print', role: 'group', 'aria-label': t('review.verdict') },
      this.mayReview && judging(),
      button('k', t('review.previous'), () => this.go(this.place - 1), this.place > 0),
      button('j', t('review.next'), () => this.go(this.place + 1), this.place < this.rows.length - 1),
      h('label', { class: 'note' }, keys, ` ${t('review.keys')}`));
  }

  correction() {
    const wrong = h('p', { class: 'refusal', id: 'instead-wrong', role: 'alert', hidden: true }, t('review.unknown'));
    const input = h('input', { id: 'instead', list: 'instead-choices', value: this.typed, autocomplete: 'off', 'aria-describedby': 'instead-wrong', 'data-keep-focus': 'instead', oninput: () => { this.typed = input.value; } });
    const names = [...this.choices[this.row.aspect]].filter(([, target]) => target !== this.row.target).map(([name]) => name);
    const back = () => {
      this.correcting = false;
      this.draw();
      this.panel.querySelector('h3').focus({ preventScroll: true });
    };
    const form = h('form', { class: 'correction no-print' }, h('label', { for: 'instead' }, t('review.instead')), input,
      h('datalist', { id: 'instead-choices' }, names.sort().map(name => h('option', { value: name }))),
      h('button', { type: 'submit' }, t('review.save')), h('button', { type: 'button', onclick: back }, t('review.cancel')), wrong);
    form.addEventListener('submit', event => { event.preventDefault(); wrong.hidden = this.replace(input.value.trim()); });
    form.addEventListener('keydown', event => { if (event.key === 'Escape') back(); });
    return form;
  }
}

function entry(anchor, row, current) {
  const verdictNow = now(row)?.verdict;
  const mark = verdictNow ? (now(row).instead?.length ? 'corrected' : verdictNow) : 'open';
  if (current) anchor.setAttribute('aria-current', 'true');
  else anchor.removeAttribute('aria-current');
  anchor.dataset.key = row.key;
  anchor.dataset.verdict = mark;
  anchor.replaceChildren(h('span', { class: 'named' }, row.other_name ? `${row.name} – ${row.other_name}` : row.name), h('span', { class: 'note' }, `${t(`found_kind.${kindOf(row)}`)} · ${row.other_name ? '' : `${row.title ?? row.student ?? ''} · `}${shortly(row)}`), h('span', { class: `mark ${mark}` }, t(`verdict.${mark}`)));
}

/** Return the one number of a row: how alike two names are, a share of answers, or a confidence and who it is from. */
function shortly(row) {
  if (row.kind === 'finding' && row.calibration === 'measured') return t('review.short_measured', { share: share(row.measured) });
  if (row.kind === 'tests' || row.kind in OF_PAIR) return share(row.likeness ?? row.confidence);
  return t('review.short_stated', { share: share(row.confidence) });
}

/** Return the measured confidence of a finding with its 95 % interval, or say why there is none. */
function measured(row) {
  if (row.calibration === 'measured') {
    const least = share(row.measured_at_least);
    const most = share(row.measured_at_most);
    const said = t('review.measured_share', { share: share(row.measured), least, most, n: row.judged_alike });
    return value(row.measured, said);
  }
  if (row.judged === null) return t('review.not_calibrated');
  if (row.judged < FEWEST_JUDGED) return t('review.not_calibrated_of', { n: row.judged });
  return t('review.not_calibrated_alike');
}

/** Say how many are done, and how often people agreed with the analyser: the API's numbers, and what was said since. */
function progress(answers) {
  const sum = name => answers.reduce((total, each) => total + (each.of_how_many[name] ?? 0), 0);
  let [done, drawn, accepted] = [sum('judged of them'), sum('drawn and judged'), sum('drawn and accepted')];
  for (const row of answers.flatMap(each => each.rows).filter(each => said.has(each.key))) {
    const after = said.get(row.key)?.verdict ?? null;
    done += Number(after !== null) - Number(row.verdict !== null);
    if (!row.drawn || row.kind === 'tests') continue;
    drawn += Number(after !== null) - Number(row.verdict !== null);
    accepted += Number(after === 'accepted') - Number(row.verdict === 'accepted');
  }
  return [
    `${t('review.done')} `, value(done), ` ${t('review.done_of')} `, value(sum('to review')), ' · ',
    `${t('review.agreement')} `, value(drawn ? accepted / drawn : null, share(drawn ? accepted / drawn : null)), ` (${t('review.agreement_of')} `, value(drawn), ')',
    unwritten > 0 && h('span', { class: 'unwritten' }, ` · ${t('review.unwritten', { n: unwritten })}`),
  ].filter(Boolean);
}

function verdict(row, choices) {
  const last = now(row);
  if (!last?.verdict) return null;
  if (row.kind in OF_PAIR) return h('p', { class: 'said' }, t(`said.${last.verdict}`), row.skipped && ` ${t('said.skipped')}`);
  if (VERDICTS[row.kind] === NEED) return h('p', { class: 'said' }, t(`said_need.${row.skipped && !said.has(row.key) ? 'skipped' : last.verdict}`));
  const names = new Map([...choices[row.aspect]].map(([name, target]) => [target, name]));
  return h('p', { class: 'said' }, last.instead.length ? t('said.corrected', { name: last.instead.map(each => names.get(each) ?? each).join(t('list.comma')) }) : t(`said.${last.verdict}`));
}

function details(row) {
  const isNew = row.aspect === 'topic' ? t('review.new_topic') : t('review.new_type');
  const notKnown = row.aspect === 'knowledge_point' ? t('review.not_known') : isNew;
  const known = row.known === null ? null : row.known ? t('review.known') : notKnown;
  const why = row.kind === 'tests' ? t('review.why_tests', { n: row.mistakes }) : [row.unsure && t('review.why_unsure'), row.drawn && t('review.why_drawn')].filter(Boolean).join(t('list.comma'));
  const term = (words, content) => content && [h('dt', {}, words), h('dd', {}, content)];
  return h('dl', {},
    term(t('column.question'), row.question), term(t('column.text'), row.text && quoted(row.text, row.evidence)),
    row.kind === 'tests' && term(t('review.confidence'), value(row.confidence, share(row.confidence))),
    row.calibration && [term(t('review.measured'), measured(row)), term(t('review.stated'), value(row.confidence, share(row.confidence)))],
    term(t('review.model'), row.model && `${row.model} · ${row.prompt_version}`), term(t('review.why'), why), term(t('review.what_is_known'), known),
    term(t('column.item'), row.item && (row.title ?? row.item)),
    term(t('column.student'), row.student && h('a', { href: link('student', { student: row.student }) }, row.student)),
    term(t('column.at'), row.at && moment(row.at)));
}

/** Return what one has to know of two points before they become one, or why one is not needed before the other. */
function detailsOfPoints(row) {
  const term = (words, content) => content && [h('dt', {}, words), h('dd', {}, content)];
  const used = (records, courses) => `${t('review.records', { n: records })}${courses.length ? ` · ${courses.join(t('list.comma'))}` : ''}`;
  const ways = row.cycles.length > 0 && h('ul', { class: 'cycles' }, row.cycles.map(way => h('li', {}, way.join(' → '))));
  if (VERDICTS[row.kind] === NEED) {
    return h('dl', {}, term(t('review.claimed_by'), row.claimed_by.join(t('list.comma'))), term(t('review.quotes'), quotesOf(row)), row.confidence !== null && term(t('review.stated'), [value(row.confidence, share(row.confidence)), ` · ${t('review.not_calibrated')}`]),
      term(t('review.on_ways'), row.students !== null && value(row.students)),
      row.verdict === null && term(t('review.why'), t(`why_need.${row.kind}`)), term(t('review.excluded_by'), ways),
      ways && now(row)?.verdict !== 'accepted' && term(t('review.if_accepted'), row.gives_way.length ? t('review.gives_way', { name: row.gives_way[0], needed: row.gives_way[1] }) : t('review.gives_no_way')));
  }
  if (row.kind === 'misconception') {
    return h('dl', {}, term(row.name, t('review.mistakes', { n: row.records })), term(row.other_name, t('review.mistakes', { n: row.other_records })),
      term(t('review.likeness_of_words'), value(row.likeness, share(row.likeness))), term(t('review.why'), t('review.why_misconception')));
  }
  return h('dl', {},
    term(row.name, used(row.records, row.courses)), term(row.other_name, used(row.other_records, row.other_courses)),
    term(t('review.likeness'), value(row.likeness, share(row.likeness))), term(t('review.why'), t('review.why_same')),
    term(t('review.cycles'), ways || t('review.no_cycles')));
}

/** Return the words of texts that say a prerequisite, or say that there are none. */
function quotesOf(row) {
  if (!row.claimed_by.length) return null;
  return row.quotes.length ? row.quotes.map(each => h('blockquote', {}, each)) : t('review.no_quote');
}

/** Return a text in which the words that the analyser quoted are marked. */
function quoted(text, evidence) {
  const words = evidence.find(each => each && text.includes(each));
  if (!words) return h('q', {}, text);
  const [first, ...rest] = text.split(words);
  return h('q', {}, first, h('mark', {}, words), rest.join(words));
}
