// @ts-check
// Who works with whom, who has no tie in this data, whose mistakes nobody has answered, and which mood is in the texts?

import { ask } from '../api.js';
import { network, withoutLayers } from '../networks.js';
import { block, colour, h, hiddenRows, how, recordsLink, searchInput, table, value } from '../parts.js';
import { changed, link, state } from '../state.js';
import { number, share, t } from '../words.js';
import { moods } from './moods.js';

const MOST_BUBBLES = 150; // of one picture
const MOST_AROUND = 50; // of one student
const [CELL, ROW, STEP] = [150, 210, 70]; // pixels: a node with its name, a row, and how much lower every second one stands
const ONLY = ['', 'alone', 'unanswered'];

export function people({ asked, questions }) {
  const { who } = state();
  return [
    h('h1', {}, t('people.title')),
    block(who ? t('people.around') : t('people.communities'), () => ties(asked, questions), { 'data-question': 'ties' }),
    questions.has('mood') && block(t(who ? 'moods.of_one' : 'moods.title'), () => moods(who ? { ...asked, group: undefined, list: undefined, student: who } : asked, questions), { 'data-question': 'mood' }),
  ];
}

async function ties(asked, questions) {
  const [cytoscape, answer, roster, attention] = await Promise.all([
    withoutLayers(),
    ask('/ties', asked),
    questions.has('roster') ? ask('/roster', asked) : null,
    questions.has('attention') ? ask('/attention', asked) : null,
  ]);
  const names = new Map((roster?.rows ?? []).map(row => [row.student, row.name ?? row.student]));
  const waiting = new Map((attention?.rows ?? []).map(row => [row.student, row.unanswered]));
  const all = answer.rows.map(row => ({ ...row, name: names.get(row.student) ?? row.student, unanswered: attention && (waiting.get(row.student) ?? 0) }));
  const { find = '', only = '', community = '', who } = state();
  const sought = find.trim().toLowerCase();
  const rows = all.filter(row => `${row.name} ${row.student}`.toLowerCase().includes(sought) && (!community || String(row.community) === community)
    && (only !== 'alone' || row.ties === 0) && (only !== 'unanswered' || row.unanswered > 0));
  const one = all.find(row => row.student === who);
  return [
    cards(answer, all, questions),
    all.length ? [one ? around(cytoscape, one, all) : bubbles(cytoscape, all), tools(rows.length, all.length, only, community, Boolean(attention))] : h('p', { class: 'left-out' }, t('people.too_few')),
    all.length > 0 && peopleTable(rows, all.length, questions, Boolean(attention), hiddenRows(answer)),
    how('ties', answer), attention && how('attention', attention),
  ];
}

function cards(answer, all, questions) {
  const of = answer.of_how_many;
  const messages = questions.has('records') ? link('records', { kind: 'messages' }) : null;
  const card = (name, exact, href) => h('div', { class: 'card', 'data-card': name }, h('dt', {}, t(`people_card.${name}`)), h('dd', {}, exact === undefined ? h('span', { class: 'hidden' }, t('table.hidden')) : value(exact, number(exact), href, t(`people_card.${name}`))));
  return h('dl', { class: 'cards' },
    card('students', of.students, questions.has('roster') ? link('students') : null), card('tied', of['students with a tie'], messages),
    all.length > 0 && card('alone', all.filter(row => row.ties === 0).length, changed({ only: 'alone', community: '' })),
    card('pairs', of['pairs with a tie'], messages), card('mutual', of['pairs with a tie both ways'], messages));
}

function tools(found, all, only, community, answered) {
  const pick = h('select', { name: 'only', 'data-keep-focus': 'only', onchange: event => { location.hash = changed({ only: event.target.value }); } },
    ONLY.filter(each => each !== 'unanswered' || answered).map(each => h('option', { value: each, selected: each === only }, t(`people_only.${each || 'all'}`))));
  return h('p', { class: 'search no-print' }, h('label', {}, `${t('students.find')} `, searchInput()), ' ', h('span', {}, t('students.found', { n: found, of: all })), ' ',
    h('label', {}, `${t('people.only')} `, pick), community && [' ', h('a', { href: changed({ community: '' }) }, t('people.all_communities'))]);
}

/** Draw each community as a bubble; how many pairs have a tie from one to the other is the width of the line. */
function bubbles(cytoscape, all) {
  const members = new Map();
  for (const row of all) if (row.community !== null) members.set(row.community, [...(members.get(row.community) ?? []), row]);
  const drawn = [...members].slice(0, MOST_BUBBLES); // the largest first
  const of = new Map(all.map(row => [row.student, row.community]));
  const between = new Map();
  for (const row of all) {
    for (const partner of row.partners) {
      const [a, b] = [row.community, of.get(partner)].sort((x, y) => x - y);
      if (row.student < partner && a !== b && b <= drawn.length) between.set(`${a} ${b}`, (between.get(`${a} ${b}`) ?? 0) + 1);
    }
  }
  const most = Math.max(1, ...drawn.map(([, rows]) => rows.length));
  const elements = [
    ...drawn.map(([community, rows]) => ({ data: { id: String(community), label: `${t('people.community', { n: community })}\n${t('people.members', { n: rows.length })}`, size: 26 + 42 * Math.sqrt(rows.length / most), chosen: String(community) === state().community } })),
    ...[...between].map(([pair, pairs]) => ({ data: { id: pair, source: pair.split(' ')[0], target: pair.split(' ')[1], width: Math.min(8, pairs), label: number(pairs) } })),
  ];
  const alone = all.filter(row => row.community === null).length;
  return [
    h('p', { class: 'left-out' }, t('people.drawn', { n: drawn.length, of: members.size }), ' ', t('people.alone', { n: alone })),
    picture(cytoscape, elements, t('people.described', { n: drawn.length }), id => changed({ community: id })),
    h('p', { class: 'legend' }, t('people.legend')),
  ];
}

/** Draw one student and whom they exchanged most with. */
function around(cytoscape, one, all) {
  const near = one.partners.slice(0, MOST_AROUND);
  const shown = new Set([one.student, ...near]);
  const drawn = [one, ...near.map(partner => all.find(row => row.student === partner)).filter(Boolean)];
  const elements = [
    ...drawn.map(row => ({ data: { id: row.student, label: row.name, size: row === one ? 46 : 28, chosen: row === one } })),
    ...drawn.flatMap(row => row.partners.filter(partner => shown.has(partner) && row.student < partner).map(partner => ({ data: { id: `${row.student} ${partner}`, source: row.student, target: partner, width: 1.5, label: '' } }))),
  ];
  return [
    h('p', {}, h('strong', {}, one.name), ' · ', h('a', { class: 'no-print', href: changed({ who: '' }) }, t('people.all_communities'))),
    h('p', { class: 'left-out' }, t('people.near', { n: near.length, of: one.partners.length })),
    picture(cytoscape, elements, t('people.described_around', { who: one.name, n: near.length }), id => changed({ who: id }), one.student),
  ];
}

/** Draw nodes and lines; `first` stands above the others. */
function picture(cytoscape, elements, described, target, first = null) {
  const place = h('div', { class: 'map ties', role: 'img', 'aria-label': described });
  const style = () => [
    { selector: 'node', style: { label: 'data(label)', width: 'data(size)', height: 'data(size)', 'font-size': 15, 'font-family': 'system-ui, "Noto Sans CJK SC", sans-serif', color: colour('text'), 'text-valign': 'bottom', 'text-margin-y': 4, 'text-wrap': 'wrap', 'text-max-width': CELL - 10, 'text-background-color': colour('paper'), 'text-background-opacity': 0.85, 'background-color': colour('level-0'), 'border-width': 1.5, 'border-color': colour('text') } },
    { selector: 'node[?chosen]', style: { 'border-width': 4, 'border-color': colour('accent') } },
    { selector: 'edge', style: { width: 'data(width)', label: 'data(label)', 'font-size': 14, color: colour('text'), 'text-background-color': colour('paper'), 'text-background-opacity': 0.9, 'line-color': colour('edge'), 'curve-style': 'unbundled-bezier', 'control-point-distances': 45, 'control-point-weights': 0.5 } },
  ];
  const arrange = drawn => {
    spread(drawn, place, first);
    drawn.viewport({ zoom: 1, pan: { x: 0, y: 0 } }); // letters as large as they are meant
  };
  const options = { elements, minZoom: 0.2, maxZoom: 1.2, userZoomingEnabled: false, userPanningEnabled: false, autoungrabify: true };
  const cy = network(cytoscape, place, options, style, arrange);
  cy.on('tap', 'node', event => { location.hash = target(event.target.id()); });
  return h('figure', {}, place);
}

/** Give each node its place: a few stand on an ellipse, where no line runs behind a third one, and more in rows. */
function spread(cy, place, first) {
  const [n, wide, middle] = [cy.nodes().length, place.clientWidth > 600, place.clientWidth / 2];
  if (first === null && n > 1 && n <= (wide ? 12 : 6)) {
    const [across, down] = [Math.min(middle - CELL / 2, 420), Math.max(110, n * 25)];
    place.style.height = `${2 * down + CELL}px`;
    cy.resize();
    cy.nodes().forEach((node, each) => {
      const angle = 2 * Math.PI * each / n - Math.PI / 2;
      node.position({ x: middle + across * Math.cos(angle), y: down + CELL * 0.4 + down * Math.sin(angle) });
    });
    cy.edges().style('curve-style', 'straight');
    return;
  }
  const from = first === null ? 0 : 1;
  const columns = Math.max(1, Math.min(n - from, Math.max(2, Math.floor(place.clientWidth / CELL))));
  const across = place.clientWidth / columns;
  place.style.height = `${from * CELL + ROW * Math.ceil((n - from) / columns)}px`;
  cy.resize();
  cy.nodes().forEach((node, each) => {
    const cell = each - from;
    node.position(cell < 0 ? { x: middle, y: CELL * 0.4 } : { x: across * ((cell % columns) + 0.5), y: from * CELL + ROW * Math.floor(cell / columns) + CELL * 0.4 + (cell % columns % 2) * STEP });
  });
}

function peopleTable(rows, all, questions, answered, hidden) {
  const messages = row => (questions.has('records') ? recordsLink(row.evidence) : null);
  return table(t('people.caption', { n: rows.length, of: all }), [
    { name: 'name', label: t('column.student'), text: true, key: row => row.name, cell: row => h('a', { href: changed({ who: row.student }), 'data-keep-focus': `who-${row.student}` }, row.name) },
    { name: 'community', label: t('column.community'), key: row => row.community, cell: row => (row.community === null ? t('people.none') : value(row.community, number(row.community), changed({ community: row.community, who: '' }), row.name)) },
    ...['ties', 'mutual', 'sent', 'received'].map(name => ({ name, label: t(`column.${name}`), key: row => row[name], cell: row => value(row[name], number(row[name]), messages(row), row.name) })),
    { name: 'reciprocity', label: t('column.reciprocity'), key: row => row.reciprocity, cell: row => value(row.reciprocity, share(row.reciprocity), messages(row), row.name) },
    ...(answered ? [{ name: 'unanswered', label: t('column.unanswered'), key: row => row.unanswered, cell: row => value(row.unanswered, number(row.unanswered), questions.has('records') ? link('records', { student: row.student }) : null, row.name) }] : []),
  ], rows, { sort: 'community', hidden });
}
