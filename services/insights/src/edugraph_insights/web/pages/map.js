// Which points does this course have, what needs what, and where is the class weak? Prerequisites stand to the left.

import cytoscape from '../vendor/cytoscape/cytoscape.esm.min.mjs';
import dagre from '../vendor/cytoscape-dagre/cytoscape-dagre.min.mjs';

import { ask } from '../api.js';
import { bar, block, colour, h, hiddenRows, how, recordsLink, searchInput, table, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { number, share, t, told } from '../words.js';
import { recordsList } from './records.js';

const MOST_NODES = 150; // of one picture: more cannot be read
const SHARES = [0.25, 0.5, 0.75]; // where the colour of a rate changes
const SURE = ['0', '0.5', '0.7', '0.9']; // least confidence of a prerequisite, to choose from
const READABLE = 0.75; // zoom under which letters are too small
const [LOWEST, HIGHEST] = [320, 1100]; // of the picture, in pixels
const MARGIN = 24;
const QUOTED = 5; // records in the panel
cytoscape.use(dagre);

export function map({ asked, questions }) {
  const { student } = state();
  return [
    h('h1', {}, student ? t('map.title_student', { who: student }) : t('map.title')),
    student && h('p', { class: 'no-print' }, h('a', { href: link('student', { student }) }, t('map.to_student')), ' · ', h('a', { href: changed({ student: '' }) }, t('map.to_class'))),
    block(t('map.picture'), () => picture(asked, questions, student), { 'data-question': 'course-map' }),
  ];
}

async function picture(asked, questions, student) {
  const [places, rates] = await Promise.all([ask('/course-map', { ...asked, group: student ? undefined : asked.group, student }), ask(student ? '/student' : '/weak-points', { ...asked, ...(student && { student, group: undefined }) })]);
  const all = collected(places.rows, rates.rows, student);
  const { find = '', sure = '0' } = state();
  for (const point of all.values()) point.needs = point.needs.filter(need => need.confidence >= Number(sure));
  const neededFor = new Map();
  for (const point of all.values()) for (const need of point.needs) neededFor.set(need.id, [...(neededFor.get(need.id) ?? []), point.id]);
  const sought = find.trim().toLowerCase();
  const matches = [...all.values()].filter(point => !sought || point.name.toLowerCase().includes(sought));
  const near = sought ? new Set(matches.flatMap(point => [point.id, ...point.needs.map(need => need.id), ...(neededFor.get(point.id) ?? [])])) : null;
  const alone = point => !point.needs.length && !neededFor.has(point.id) && !point.tried;
  const wanted = [...all.values()].filter(point => (near ? near.has(point.id) : !alone(point)));
  // The weakest first, then those that most others need: what is left out matters least.
  wanted.sort((a, b) => (b.wrong ?? -1) - (a.wrong ?? -1) || (neededFor.get(b.id)?.length ?? 0) - (neededFor.get(a.id)?.length ?? 0) || (a.id < b.id ? -1 : 1));
  const drawn = wanted.slice(0, MOST_NODES);
  const chosen = all.get(state().point);
  const side = h('aside', { class: 'panel', 'aria-live': 'polite', 'aria-label': t('map.panel') });
  fill(side, chosen, all, neededFor, asked, questions, student, places.exact);
  return [
    tools(matches.length, all.size, sure),
    h('p', { class: 'left-out' }, t('map.drawn', { n: drawn.length, of: all.size }), ' ', drawn.length < wanted.length ? t('map.too_many', { most: MOST_NODES, n: wanted.length - drawn.length }) : '', !near && all.size > wanted.length ? t('map.alone', { n: all.size - wanted.length }) : ''),
    h('div', { class: 'map-and-panel' }, h('figure', {}, canvas(drawn, chosen, student), legend(student)), side),
    pointsTable([...all.values()].filter(point => matches.includes(point)), all, neededFor, student, hiddenRows(rates)),
    how('course-map', places), how(student ? 'student' : 'weak-points', rates),
  ];
}

/** Return the points by id: what they need, and how the class, or the student, does at them. */
function collected(places, rates, student) {
  const all = new Map();
  const point = (id, name) => all.get(id) ?? all.set(id, { id, name, needs: [], wrong: null, tried: 0, students: null, row: null }).get(id);
  for (const { point: id, name, needs, needs_name: needsName, confidence } of places) {
    const here = point(id, name);
    if (needs) {
      point(needs, needsName);
      here.needs.push({ id: needs, confidence });
    }
  }
  for (const row of rates) {
    const here = point(row.point, row.name);
    const tried = student ? row.right + row.wrong : row.first_attempts;
    Object.assign(here, { row, tried, wrong: student ? (tried ? row.wrong / tried : null) : row.wrong, students: student ? null : row.students });
  }
  return all;
}

function tools(found, all, sure) {
  const least = h('select', { 'data-keep-focus': 'sure', onchange: event => { location.hash = changed({ sure: event.target.value === '0' ? '' : event.target.value }); } },
    SURE.map(each => h('option', { value: each, selected: each === sure }, each === '0' ? t('map.any') : share(Number(each)))));
  return h('p', { class: 'search no-print' }, h('label', {}, `${t('map.find')} `, searchInput()), ' ', h('span', {}, t('map.found', { n: found, of: all })), ' ', h('label', {}, `${t('map.sure')} `, least));
}

const level = wrong => (wrong === null ? 'none' : String(SHARES.filter(each => wrong >= each).length));

function canvas(drawn, chosen, student) {
  const ids = new Set(drawn.map(point => point.id));
  const place = h('div', { class: 'map', role: 'img', 'aria-label': t('map.described', { n: drawn.length }) });
  const most = Math.max(1, ...drawn.map(point => point.students ?? 0));
  const elements = [
    ...drawn.map(point => ({ data: { id: point.id, label: point.wrong === null ? point.name : `${point.name}\n${share(point.wrong)}`, level: level(point.wrong), size: 22 + (point.students ? 26 * Math.sqrt(point.students / most) : student && point.tried ? 12 : 0) } })),
    ...drawn.flatMap(point => point.needs.filter(need => ids.has(need.id)).map(need => ({ data: { id: `${need.id} → ${point.id}`, source: need.id, target: point.id, confidence: need.confidence } }))),
  ];
  const style = () => [
    { selector: 'node', style: { label: 'data(label)', width: 'data(size)', height: 'data(size)', 'font-size': 15, 'font-family': 'system-ui, "Noto Sans CJK SC", sans-serif', color: colour('text'), 'text-valign': 'bottom', 'text-margin-y': 4, 'text-wrap': 'wrap', 'text-max-width': 120, 'text-background-color': colour('paper'), 'text-background-opacity': 0.85, 'text-background-padding': 1, 'background-color': node => colour(`level-${node.data('level')}`), 'border-width': 1.5, 'border-color': colour('text') } },
    { selector: 'node[level = "none"]', style: { 'border-style': 'dashed', 'border-color': colour('quiet') } },
    { selector: 'edge', style: { width: edge => 1 + 2 * edge.data('confidence'), 'line-color': colour('edge'), 'target-arrow-color': colour('edge'), 'target-arrow-shape': 'triangle', 'curve-style': 'bezier', 'arrow-scale': 0.9 } },
    { selector: 'node.chosen', style: { 'border-width': 4, 'border-color': colour('accent') } },
    { selector: 'edge.chosen', style: { 'line-color': colour('accent'), 'target-arrow-color': colour('accent') } },
  ];
  const cy = cytoscape({ elements, style: style(), minZoom: 0.2, maxZoom: 2.5, userZoomingEnabled: false });
  cy.on('tap', 'node', event => { location.hash = changed({ point: event.target.id() }); });
  if (chosen && ids.has(chosen.id)) {
    const path = cy.getElementById(chosen.id);
    path.union(path.predecessors()).addClass('chosen'); // the trail of what it needs
  }
  const draw = () => {
    cy.mount(place);
    cy.style(style());
    cy.layout({ name: 'dagre', rankDir: 'LR', nodeSep: 14, rankSep: place.clientWidth > 600 ? 90 : 16, edgeSep: 14, nodeDimensionsIncludeLabels: true, fit: false }).run();
    see(cy, place, chosen);
  };
  requestAnimationFrame(() => place.isConnected && draw());
  document.addEventListener('dressed', () => place.isConnected && cy.style(style()));
  place.picture = cy; // a test looks at what is drawn
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

function legend(student) {
  const steps = [['none', t('map.no_attempts')], ...['0', '1', '2', '3'].map((name, place) => [name, t('map.from_to', { from: share(SHARES[place - 1] ?? 0), to: share(SHARES[place] ?? 1) })])];
  return h('figcaption', { class: 'legend' }, `${t(student ? 'map.colour_student' : 'map.colour')} `, steps.map(([name, words]) => h('span', {}, h('i', { class: `dot level-${name}`, 'aria-hidden': 'true' }), words)), student ? '' : ` ${t('map.size')}`);
}

/** Say what is known of a point, with the latest records. */
function fill(side, point, all, neededFor, asked, questions, student, exact) {
  if (!point) {
    side.replaceChildren(h('p', { class: 'note' }, t('map.choose')));
    return;
  }
  const names = ids => (ids.length ? ids.map((id, place) => [place ? ', ' : '', h('a', { href: changed({ point: id }) }, all.get(id).name)]) : '–');
  const records = recordsLink(point.row?.evidence);
  const latest = h('div');
  side.replaceChildren(
    h('h3', {}, point.name),
    h('dl', {},
      h('dt', {}, t('column.wrong')), h('dd', {}, point.wrong === null ? t('map.no_attempts') : bar(point.wrong, records, point.name)),
      h('dt', {}, t('column.first_attempts')), h('dd', {}, value(point.tried, number(point.tried), records, point.name)),
      !student && [h('dt', {}, t('column.students')), h('dd', {}, value(point.students, number(point.students), records, point.name))],
      student && point.row && [h('dt', {}, t('column.state')), h('dd', {}, told('state', point.row.state))],
      h('dt', {}, t('map.needs')), h('dd', {}, names(point.needs.map(need => need.id))),
      h('dt', {}, t('map.needed_for')), h('dd', {}, names(neededFor.get(point.id) ?? []))),
    latest, h('p', { class: 'no-print' }, h('a', { href: changed({ point: '' }) }, t('map.close'))));
  if (questions.has('records') && exact) {
    ask('/records', { ...asked, ...(student && { student, group: undefined }), point: point.id, limit: QUOTED }).then(answer => {
      latest.replaceChildren(...(answer.rows.length ? [recordsList(answer.rows)] : [h('p', {}, t('map.no_records'))]));
    }, problem => { latest.textContent = told('problem', problem.type); });
  }
}

function pointsTable(points, all, neededFor, student, hidden) {
  const listed = ids => ids.map(id => all.get(id).name).join(t('list.comma'));
  return table(t('map.caption', { n: points.length }), [
    { name: 'name', label: t('column.point'), text: true, key: point => point.name, cell: point => h('a', { href: changed({ point: point.id }), 'data-keep-focus': `point-${point.id}` }, point.name) },
    { name: 'wrong', label: t('column.wrong'), key: point => point.wrong, cell: point => bar(point.wrong, recordsLink(point.row?.evidence), point.name) },
    ...(student ? [] : [{ name: 'students', label: t('column.students'), key: point => point.students, cell: point => value(point.students, number(point.students), recordsLink(point.row?.evidence), point.name) }]),
    { name: 'tried', label: t('column.first_attempts'), key: point => point.tried, cell: point => value(point.tried, number(point.tried), recordsLink(point.row?.evidence), point.name) },
    { name: 'needs', label: t('map.needs'), text: true, cell: point => listed(point.needs.map(need => need.id)) || '–' },
    { name: 'for', label: t('map.needed_for'), text: true, cell: point => listed(neededFor.get(point.id) ?? []) || '–' },
  ], points, { sort: '-wrong', hidden });
}
