// @ts-check
// From a point of the map back to the earlier gap: which point that it needs is the weakest, and what lies between.

import { ask } from '../api.js';
import { bar, h, how, recordsLink, table, value } from '../parts.js';
import { changed } from '../state.js';
import { number, share, t } from '../words.js';

/**
 * Return the trail of a point: {answer, gap, by, steps}. `gap` is null where nothing is known of what the point needs, `by` says
 * why it is the weakest. `wrongShares` is the promise of the share wrong at each point, of the class or of the one student of `asked`.
 */
export async function trailOf(point, asked, sure, wrongShares) {
  const [answer, wrong] = await Promise.all([ask('/earlier-gaps', { ...asked, ...(sure > 0 && { min_confidence: sure }) }), wrongShares]);
  const rows = answer.rows.filter(row => row.point === point);
  const [gap, by] = weakest(rows, wrong);
  const steps = (gap?.way ?? []).map((id, place) => ({ id, name: gap.way_names[place], row: rows.find(row => row.gap === id) ?? null }));
  return { answer, gap, by, steps };
}

/**
 * Return the gap behind most of the mistakes; where too few students tried both, that of the lowest mastery; where too little is
 * known for that, that at which most went wrong. With each comes its reason.
 */
function weakest(rows, wrong) {
  const measures = { behind: row => (row.score > 0 ? row.score : null), lowest: row => (row.class_mastery === null ? null : -row.class_mastery), wrong: row => wrong.get(row.gap) ?? null };
  for (const [by, measure] of Object.entries(measures)) {
    const known = rows.filter(row => measure(row) !== null);
    if (known.length) return [known.reduce((one, other) => (measure(other) > measure(one) ? other : one)), by];
  }
  return [null, 'unknown'];
}

/** Add the points and the steps of a trail to those of the map, where the course does not have them. Return its edges. */
export function addTrail(all, from, { gap, steps }) {
  const edges = [];
  let before = from;
  for (const { id, name } of steps) {
    if (!all.has(id)) all.set(id, { id, name, needs: [], wrong: null, tried: 0, students: null, mastery: null, row: null });
    const here = all.get(before);
    if (!here.needs.some(need => need.id === id)) here.needs.push({ id, confidence: gap.confidence });
    edges.push(`${id} → ${before}`);
    before = id;
  }
  return new Set(edges);
}

/** Return the trail in a sentence and in a table. */
export function trailSection(point, all, student, { answer, gap, by, steps }) {
  const known = row => (row ? null : t('table.hidden'));
  const behind = step => recordsLink(all.get(step.id).row?.evidence);
  const numbered = steps.map((step, place) => ({ ...step, point: step.id, place: place + 1 }));
  return h('section', { class: 'trail', 'data-question': 'earlier-gaps' },
    h('h3', {}, t('trail.title', { name: point.name })),
    h('p', { class: 'trail-sentence' }, sentence(point, all.get(gap?.gap), student, { gap, by, steps })),
    gap && table(t('trail.caption', { n: steps.length }), [
      { name: 'name', label: t('column.point'), text: true, cell: step => h('a', { href: changed({ point: step.id }) }, step.name) },
      { name: 'place', label: t('trail.step'), cell: step => number(step.place) },
      { name: 'wrong', label: t('column.wrong'), cell: step => bar(all.get(step.id).wrong, behind(step), step.name) },
      { name: 'mastery', label: t('column.mastery'), cell: step => known(step.row) ?? bar(step.row.class_mastery, behind(step), step.name) },
      ...(student ? [] : [{ name: 'difference', label: t('trail.difference'), cell: step => known(step.row) ?? value(step.row.difference, share(step.row.difference), behind(step), step.name) }]),
      { name: 'confidence', label: t('trail.confidence'), cell: ({ row }) => known(row) ?? value(row.confidence, share(row.confidence)) },
      ...(student ? [] : [{ name: 'students', label: t('trail.students'), cell: step => known(step.row) ?? value(step.row.students, number(step.row.students), behind(step), step.name) }]),
    ], numbered),
    how('earlier-gaps', answer));
}

function sentence(point, weak, student, { gap, by, steps }) {
  const about = { name: point.name, ...(gap && { gap: gap.gap_name, steps: number(steps.length), mastery: share(gap.class_mastery), difference: share(gap.difference), students: number(gap.students), wrong: share(weak.wrong) }) };
  return student ? t(`trail_student.${by}`, about) : t(`trail.${by}`, about);
}
