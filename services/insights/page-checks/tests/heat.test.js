// The tiles of the table of students and points.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { goTo } from './browser.js';

const { heatMap, levelOf } = await import('#page/heat.js');

console.error = () => {}; // no words are loaded here, and the page says so

const STUDENTS = ['s1', 's2', 's3', 's4', 's5'];
const POINTS = ['p1', 'p2', 'p3'];
const cell = fc.tuple(fc.constantFrom(...STUDENTS), fc.constantFrom(...POINTS), fc.nat(4), fc.nat(4)).map(([student, point, right, wrong]) => ({
  student, point, name: `Point ${point}`, student_name: `Name ${student}`, right,
  first_attempts: right + wrong, share: right + wrong ? right / (right + wrong) : null, evidence: null,
}));
const cells = fc.uniqueArray(cell, { selector: each => `${each.student} ${each.point}`, maxLength: 15 });

test('the level of a tile follows from what was right', () => {
  fc.assert(fc.property(fc.nat(30), fc.nat(30), (right, wrong) => {
    const number = right + wrong;
    const level = levelOf({ right, first_attempts: number, share: number ? right / number : null });
    if (number === 0) assert.equal(level, null);
    else if (wrong === 0) assert.equal(level, 'all');
    else if (right === 0) assert.equal(level, 'none');
    else assert.equal(level, right < wrong ? 'less' : 'more');
  }));
});

test('who is wrong at most points stands first, and each sum counts its tiles', () => {
  fc.assert(fc.property(cells, rows => {
    goTo('#today?course=ALG1');
    const page = document.createElement('div');
    page.append(...heatMap(rows).filter(each => each instanceof window.Node));
    const wrongOf = student => rows.filter(each => each.student === student && each.share !== null && each.share < 0.5).length;
    const shown = [...page.querySelectorAll('tr[data-row]')].map(each => each.dataset.row);
    assert.deepEqual([...shown].sort(), [...new Set(rows.map(each => each.student))].sort());
    for (const [place, student] of shown.slice(1).entries()) assert.ok(wrongOf(shown[place]) >= wrongOf(student));
    for (const sum of page.querySelectorAll('td[data-point]')) {
      const wrong = rows.filter(each => each.point === sum.dataset.point && each.share !== null && each.share < 0.5);
      assert.equal(sum.querySelector('data').value, String(wrong.length));
    }
  }));
});
