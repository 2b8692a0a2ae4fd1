// @ts-check
// How is the class spread over a point? Four bands by the share right, with the names and the tries behind each.

import { ask } from '../api.js';
import { folded, h, how, recordsLink } from '../parts.js';
import { listed, number, plural, t } from '../words.js';

// The bands as the question names them, with the level of their colour.
const BANDS = { none_right: 'none', under_half: 'less', half_or_more: 'more', all_right: 'all' };

/** Return the bands of one point. `students` asks for the rows of the question `point`. */
export async function spread(asked, id, students) {
  const [answer, tried] = await Promise.all([ask('/spread', asked), students()]);
  const row = answer.rows.find(each => each.point === id);
  return [
    row ? [drawing(row), Object.keys(BANDS).map(band => oneBand(band, row, tried.rows))] : h('p', { class: 'none' }, t('point.untried')),
    how('spread', answer, { folds: true }),
  ];
}

const numberIn = (row, band) => Math.round(row[band] * row.students);

/** Return a bar of four parts, which are as long as their bands are large. The lines below say the same. */
function drawing(row) {
  const parts = Object.entries(BANDS).filter(([band]) => numberIn(row, band) > 0).map(([band, level]) => {
    const part = h('i', { class: `tile ${level}` }, number(numberIn(row, band)));
    part.style.flexGrow = numberIn(row, band);
    return part;
  });
  return h('p', { class: 'spread', 'aria-hidden': 'true' }, parts);
}

function oneBand(band, row, tried) {
  const n = numberIn(row, band);
  const people = tried.filter(each => each.share !== null && bandOf(each.share) === band);
  const names = people.map(each => h('a', { href: recordsLink(each.evidence) }, each.student_name ?? each.student));
  const said = [t(`spread_band.${band}`), ' ', h('span', { class: 'of' }, h('data', { value: n }, number(n)), ' ', plural('spread.of', row.students))];
  if (n === 0) return h('p', { class: 'folded', 'data-band': band }, said);
  const part = folded(said, h('p', { class: 'people' }, listed(names)));
  part.dataset.band = band;
  return part;
}

/** Return the band of a mean outcome, as the question `spread` divides them. */
function bandOf(share) {
  if (share === 0) return 'none_right';
  if (share < 0.5) return 'under_half';
  return share < 1 ? 'half_or_more' : 'all_right';
}
