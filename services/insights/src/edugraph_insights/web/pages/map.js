// @ts-check
// Which points does this course have, what needs what, and where is the class weak? Prerequisites stand to the left.

import { ask } from '../api.js';
import { network, withLayers } from '../networks.js';
import { bar, block, colour, h, hiddenRows, how, recordsLink, searchInput, sureEnough, table, value, waiting } from '../parts.js';
import { changed, link, state } from '../state.js';
import { timeSlider } from '../times.js';
import { number, plural, share, t, told } from '../words.js';
import { recordsList } from './records.js';
import { addTrail, trailOf, trailSection } from './trail.js';

const MOST_NODES = 150; // of one picture: more cannot be read
const SHARES = [0.25, 0.5, 0.75]; // where the colour of a rate changes
const SURE = ['0', '0.5', '0.7', '0.9']; // least confidence of a prerequisite, to choose from
const READABLE = 0.75; // zoom under which letters are too small
const [LOWEST, HIGHEST] = [320, 1100]; // of the picture, in pixels
const MARGIN = 24;
const QUOTED = 5; // records in the panel
const MOST_REVIEWED = 5000; // prerequisites among which the quotes of a point are
const LISTED = 100; // rows of the table at first: it is made anew at each letter of a search

export function map({ asked, questions, sees, during }) {
  const { student } = state();
  return [
    h('h1', {}, student ? t('map.title_student', { who: student }) : t('map.title')),
    student && h('p', { class: 'no-print' }, h('a', { href: link('student', { student }) }, t('map.to_student')), ' · ', h('a', { href: changed({ student: '' }) }, t('map.to_class'))),
    block(t('map.picture'), () => picture({ ...asked, ...(student && { student, group: undefined, list: undefined }) }, { questions, sees, student, during }), { 'data-question': 'course-map' }),
  ];
}

async function picture(asked, { questions, sees, student, during }) {
  const { find = '', sure = '0', point: wantedPoint } = state();
  const byMastery = state().colour === 'mastery' && (Boolean(student) || questions.has('mastery'));
  const standing = ask(student ? '/student' : '/weak-points', asked);
  const [cytoscape, places, rates, levels, trend, trail] = await Promise.all([
    withLayers(),
    ask('/course-map', asked), standing,
    byMastery && !student ? ask('/mastery', asked) : null,
    sees !== 'cells' && questions.has('trend') ? ask('/trend', { ...asked, ...during }) : { rows: [], as_of: new Date().toISOString() },
    wantedPoint && questions.has('earlier-gaps') ? trailOf(wantedPoint, asked, Number(sure), standing.then(({ rows }) => new Map(rows.map(row => [row.point, wrongOf(row, student)]).filter(([, wrong]) => !student || wrong > 0)))) : null,
  ]);
  const all = collected(places.rows, rates.rows, levels?.rows ?? [], student);
  for (const point of all.values()) point.needs = point.needs.filter(need => need.confidence >= Number(sure));
  const chosen = all.get(wantedPoint);
  const onTrail = chosen && trail?.gap ? addTrail(all, chosen.id, trail) : new Set();
  const passed = new Set(onTrail.size ? [chosen.id, ...trail.steps.map(step => step.id)] : []);
  const neededFor = new Map();
  for (const point of all.values()) {
    for (const need of followed(point)) {
      if (neededFor.has(need.id)) neededFor.get(need.id).push(point.id);
      else neededFor.set(need.id, [point.id]);
    }
  }
  const proposedFor = new Set([...all.values()].flatMap(point => point.needs.map(need => need.id)));
  const sought = find.trim().toLowerCase();
  const matches = [...all.values()].filter(point => !sought || point.name.toLowerCase().includes(sought));
  const near = sought ? new Set([...passed, ...matches.flatMap(point => [point.id, ...point.needs.map(need => need.id), ...(neededFor.get(point.id) ?? [])])]) : null;
  const alone = point => !point.needs.length && !proposedFor.has(point.id) && !neededFor.has(point.id) && !point.tried;
  const wanted = [...all.values()].filter(point => (near ? near.has(point.id) : !alone(point)));
  const weight = point => (passed.has(point.id) ? 2 : point.wrong ?? -1);
  // The trail and the weakest first, then those that most others need: what is left out matters least.
  wanted.sort((a, b) => weight(b) - weight(a) || (neededFor.get(b.id)?.length ?? 0) - (neededFor.get(a.id)?.length ?? 0) || (a.id < b.id ? -1 : 1));
  const drawn = wanted.slice(0, MOST_NODES);
  const side = h('aside', { class: 'panel', 'aria-live': 'polite', 'aria-label': t('map.panel') });
  fill(side, chosen, { all, neededFor, asked, questions, student, byMastery, exact: places.exact });
  return [
    tools(matches.length, all.size, sure, Boolean(student) || questions.has('mastery')),
    sees !== 'cells' && timeSlider(trend),
    h('p', { class: 'left-out' }, t('map.drawn', { n: drawn.length, of: all.size }), ' ', drawn.length < wanted.length ? t('map.too_many', { most: MOST_NODES, n: wanted.length - drawn.length }) : '', !near && all.size > wanted.length ? t('map.alone', { n: all.size - wanted.length }) : ''),
    waiting(places),
    h('div', { class: 'map-and-panel' }, h('figure', {}, canvas(cytoscape, drawn, { chosen, student, byMastery, onTrail, passed }), legend(student, byMastery, onTrail.size > 0)), side),
    chosen && trail && trailSection(chosen, all, student, trail),
    pointsTable(matches, { all, neededFor, student, byMastery, hidden: hiddenRows(rates) }),
    how('course-map', places), how(student ? 'student' : 'weak-points', rates), levels && how('mastery', levels),
  ];
}

/** Return what a point needs first, without what too few texts say. */
const followed = point => point.needs.filter(need => !need.isProposed);

/** Return the share wrong of a row: the class's, or that of the first attempts of a student. */
const wrongOf = (row, student) => (!student ? row.wrong : row.right + row.wrong ? row.wrong / (row.right + row.wrong) : null);

/** Return the points by id: what they need, and how the class, or the student, does at them. */
function collected(places, rates, levels, student) {
  const all = new Map();
  const point = (id, name) => all.get(id) ?? all.set(id, { id, name, needs: [], wrong: null, tried: 0, students: null, mastery: null, row: null }).get(id);
  for (const { point: id, name, needs, needs_name: needsName, confidence, state: said } of places) {
    const here = point(id, name);
    if (needs) {
      point(needs, needsName);
      here.needs.push({ id: needs, confidence, isProposed: said === 'proposed' });
    }
  }
  for (const row of rates) {
    const here = point(row.point, row.name);
    const tried = student ? row.right + row.wrong : row.first_attempts;
    Object.assign(here, { row, tried, wrong: wrongOf(row, student), students: student ? null : row.students, mastery: student ? sureEnough(row.probability, row.low, row.high) : null });
  }
  for (const row of levels) point(row.point, row.name).mastery = sureEnough(row.mastery, row.low, row.high);
  return all;
}

function tools(found, all, sure, hasMastery) {
  const least = h('select', { 'data-keep-focus': 'sure', onchange: event => { location.hash = changed({ sure: event.target.value === '0' ? '' : event.target.value }); } },
    SURE.map(each => h('option', { value: each, selected: each === sure }, each === '0' ? t('map.any') : share(Number(each)))));
  const by = h('select', { 'data-keep-focus': 'colour', onchange: event => { location.hash = changed({ colour: event.target.value }); } },
    ['', 'mastery'].map(each => h('option', { value: each, selected: each === (state().colour ?? '') }, t(each ? 'column.mastery' : 'column.wrong'))));
  return h('p', { class: 'search no-print' }, h('label', {}, `${t('map.find')} `, searchInput()), ' ', h('span', {}, t('map.found', { n: found, of: all })), ' ', h('label', {}, `${t('map.sure')} `, least),
    hasMastery && [' ', h('label', {}, `${t('map.colour_by')} `, by)]);
}

/** Return the step of the colours in which a share lies: a high share wrong is as bad as a low mastery. */
function level(shown, byMastery) {
  if (shown === null) return 'none';
  const steps = SHARES.filter(each => shown >= each).length;
  return String(byMastery ? SHARES.length - steps : steps);
}

function canvas(cytoscape, drawn, { chosen, student, byMastery, onTrail, passed }) {
  const ids = new Set(drawn.map(point => point.id));
  const place = h('div', { class: 'map', role: 'img', 'aria-label': t('map.described', { n: drawn.length }) });
  const most = Math.max(1, ...drawn.map(point => point.students ?? 0));
  const elements = [
    ...drawn.map(point => ({ point, shown: byMastery ? point.mastery : point.wrong })).map(({ point, shown }) => ({ classes: passed.has(point.id) ? 'trail' : '', data: { id: point.id, label: shown === null ? point.name : `${point.name}\n${share(shown)}`, level: level(shown, byMastery), size: 22 + (point.students ? 26 * Math.sqrt(point.students / most) : student && point.tried ? 12 : 0) } })),
    ...drawn.flatMap(point => point.needs.filter(need => ids.has(need.id)).map(need => ({ classes: [onTrail.has(`${need.id} → ${point.id}`) && 'trail', need.isProposed && 'proposed'].filter(Boolean).join(' '), data: { id: `${need.id} → ${point.id}`, source: need.id, target: point.id, confidence: need.confidence } }))),
  ];
  const style = () => [
    { selector: 'node', style: { label: 'data(label)', width: 'data(size)', height: 'data(size)', 'font-size': 15, 'font-family': 'system-ui, "Noto Sans CJK SC", sans-serif', color: colour('text'), 'text-valign': 'bottom', 'text-margin-y': 4, 'text-wrap': 'wrap', 'text-max-width': 120, 'text-background-color': colour('paper'), 'text-background-opacity': 0.85, 'text-background-padding': 1, 'background-color': node => colour(`level-${node.data('level')}`), 'border-width': 1.5, 'border-color': colour('text') } },
    { selector: 'node[level = "none"]', style: { 'border-style': 'dashed', 'border-color': colour('quiet') } },
    { selector: 'edge', style: { width: edge => 1 + 2 * edge.data('confidence'), 'line-color': colour('edge'), 'target-arrow-color': colour('edge'), 'target-arrow-shape': 'triangle', 'curve-style': 'bezier', 'arrow-scale': 0.9 } },
    { selector: 'edge.proposed', style: { 'line-style': 'dashed', 'line-color': colour('quiet'), 'target-arrow-color': colour('quiet') } },
    { selector: 'edge.trail', style: { width: 5, 'line-color': colour('trail'), 'target-arrow-color': colour('trail') } },
    { selector: 'node.trail', style: { 'border-width': 4, 'border-style': 'solid', 'border-color': colour('trail') } },
    { selector: 'node.chosen', style: { 'border-width': 4, 'border-color': colour('accent') } },
    { selector: 'edge.chosen', style: { 'line-color': colour('accent'), 'target-arrow-color': colour('accent') } },
  ];
  const arrange = picture => {
    picture.layout({ name: 'dagre', rankDir: 'LR', nodeSep: 14, rankSep: place.clientWidth > 600 ? 90 : 16, edgeSep: 14, nodeDimensionsIncludeLabels: true, fit: false }).run();
    see(picture, place, chosen);
  };
  const cy = network(cytoscape, place, { elements, minZoom: 0.2, maxZoom: 2.5, userZoomingEnabled: false }, style, arrange);
  cy.on('tap', 'node', event => { location.hash = changed({ point: event.target.id() }); });
  if (chosen && ids.has(chosen.id)) {
    const path = cy.getElementById(chosen.id);
    (onTrail.size ? path : path.union(path.predecessors())).not('.proposed').addClass('chosen'); // without a trail, all that it needs
  }
  const zoom = by => () => cy.zoom({ level: cy.zoom() * by, renderedPosition: { x: place.clientWidth / 2, y: place.clientHeight / 2 } });
  const buttons = h('div', { class: 'zoom no-print' },
    h('button', { type: 'button', 'aria-label': t('map.closer'), onclick: zoom(1.25) }, '+'),
    h('button', { type: 'button', 'aria-label': t('map.further'), onclick: zoom(0.8) }, '−'),
    h('button', { type: 'button', onclick: () => cy.fit(undefined, 20) }, t('map.whole')));
  return h('div', {}, buttons, place);
}

/** Make the picture as high as it has to be, and show all of it where that can be read, else the chosen point. */
function see(cy, place, chosen) {
  const whole = cy.elements().boundingBox();
  const zoom = Math.max(READABLE, Math.min(1, (place.clientWidth - 2 * MARGIN) / whole.w));
  place.style.height = `${Math.min(HIGHEST, Math.max(LOWEST, whole.h * zoom + 2 * MARGIN))}px`;
  cy.resize();
  cy.zoom(zoom);
  const point = chosen && cy.getElementById(chosen.id);
  const fits = whole.w * zoom <= cy.width() && whole.h * zoom <= cy.height();
  if (fits) cy.center();
  else if (point?.nonempty()) cy.center(point);
  else cy.pan({ x: MARGIN - whole.x1 * zoom, y: MARGIN - whole.y1 * zoom });
}

function legend(student, byMastery, hasTrail) {
  const between = place => t('map.from_to', { from: share(SHARES[place - 1] ?? 0), to: share(SHARES[place] ?? 1) });
  const steps = [['none', t('map.no_attempts')], ...[0, 1, 2, 3].map(place => [place, between(byMastery ? SHARES.length - place : place)])];
  const about = byMastery ? t('map.colour_mastery') : t(student ? 'map.colour_student' : 'map.colour');
  return h('figcaption', { class: 'legend' }, `${about} `, steps.map(([name, words]) => h('span', {}, h('i', { class: `dot level-${name}`, 'aria-hidden': 'true' }), words)), student ? '' : ` ${t('map.size')}`,
    hasTrail && h('span', {}, h('i', { class: 'line-of-trail', 'aria-hidden': 'true' }), t('map.trail')));
}

/** Return the mastery of a point, or why there is none. */
function masteryOf(point) {
  if (point.mastery === null && point.tried) return value(null, t('value.too_few'));
  return bar(point.mastery, recordsLink(point.row?.evidence), point.name);
}

/** Say what is known of a point, with the latest records. */
function fill(side, point, { all, neededFor, asked, questions, student, byMastery, exact }) {
  if (!point) {
    side.replaceChildren(h('p', { class: 'note' }, t('map.choose')));
    return;
  }
  const names = ids => (ids.length ? ids.map((id, place) => [place ? ', ' : '', h('a', { href: changed({ point: id }) }, all.get(id).name)]) : '–');
  const records = recordsLink(point.row?.evidence);
  const latest = h('div');
  const words = h('div');
  side.replaceChildren(
    h('h3', {}, point.name),
    h('p', { class: 'no-print' }, questions.has('together') && !student && h('a', { href: link('point', { point: point.id }) }, t('map.who'))),
    h('dl', {},
      h('dt', {}, t('column.wrong')), h('dd', {}, point.wrong === null ? t('map.no_attempts') : bar(point.wrong, records, point.name)),
      h('dt', {}, t('column.first_attempts')), h('dd', {}, value(point.tried, number(point.tried), records, point.name)),
      !student && [h('dt', {}, t('column.students')), h('dd', {}, value(point.students, number(point.students), records, point.name))],
      (byMastery || student) && [h('dt', {}, t('column.mastery')), h('dd', {}, masteryOf(point))],
      student && point.row && [h('dt', {}, t('column.state')), h('dd', {}, told('state', point.row.state))],
      h('dt', {}, t('map.needs')), h('dd', {}, names(followed(point).map(need => need.id))),
      point.needs.some(need => need.isProposed) && [h('dt', {}, t('map.proposed')), h('dd', {}, names(point.needs.filter(need => need.isProposed).map(need => need.id)))],
      h('dt', {}, t('map.needed_for')), h('dd', {}, names(neededFor.get(point.id) ?? []))),
    words, latest, h('p', { class: 'no-print' }, h('a', { href: changed({ point: '' }) }, t('map.close'))));
  if (questions.has('review-points') && exact && point.needs.length) {
    ask('/review-points', { course: asked.course, group: asked.group, list: asked.list, limit: MOST_REVIEWED }).then(answer => words.replaceChildren(...quotesOf(answer.rows, point.id)), problem => { words.textContent = told('problem', problem.type); });
  }
  if (questions.has('records') && exact) {
    ask('/records', { ...asked, point: point.id, limit: QUOTED }).then(answer => {
      latest.replaceChildren(...(answer.rows.length ? [recordsList(answer.rows)] : [h('p', {}, t('map.no_records'))]));
    }, problem => { latest.textContent = told('problem', problem.type); });
  }
}

/** Return the words of texts that say what a point needs first. */
function quotesOf(rows, id) {
  const quoted = rows.filter(row => row.kind !== 'same' && row.point === id && row.quotes.length);
  if (!quoted.length) return [];
  const items = quoted.flatMap(row => row.quotes.map(quote => h('li', {}, t('map.quoted', { name: row.other_name, quote }))));
  return [h('h4', {}, t('map.quotes')), h('ul', { class: 'quotes' }, items)];
}

function pointsTable(points, { all, neededFor, student, byMastery, hidden }) {
  const listed = ids => ids.map(id => all.get(id).name).join(t('list.comma'));
  return table(plural('map.caption', points.length), [
    { name: 'name', label: t('column.point'), text: true, key: point => point.name, cell: point => h('a', { href: changed({ point: point.id }), 'data-keep-focus': `point-${point.id}` }, point.name) },
    { name: 'wrong', label: t('column.wrong'), key: point => point.wrong, cell: point => bar(point.wrong, recordsLink(point.row?.evidence), point.name, point.row?.noise) },
    ...(byMastery ? [{ name: 'mastery', label: t('column.mastery'), key: point => point.mastery, cell: masteryOf }] : []),
    ...(student ? [] : [{ name: 'students', label: t('column.students'), key: point => point.students, cell: point => value(point.students, number(point.students), recordsLink(point.row?.evidence), point.name) }]),
    { name: 'tried', label: t('column.first_attempts'), key: point => point.tried, cell: point => value(point.tried, number(point.tried), recordsLink(point.row?.evidence), point.name) },
    { name: 'needs', label: t('map.needs'), text: true, cell: point => listed(followed(point).map(need => need.id)) || '–' },
    { name: 'for', label: t('map.needed_for'), text: true, cell: point => listed(neededFor.get(point.id) ?? []) || '–' },
  ], points, { sort: '-wrong', hidden, most: LISTED });
}
