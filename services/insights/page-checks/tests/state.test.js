// The address of a view: what was put into it comes out again, and a link keeps what is about the same pupils.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { goTo } from './browser.js';

const { address, changed, link, state } = await import('#page/state.js');

const word = fc.stringMatching(/^[a-z]{1,8}$/).filter(each => each !== 'page');
const name = fc.oneof(word, fc.constantFrom('find', 'student', 'point'));
// Half of a surrogate pair is no text, and an address cannot have it.
const value = fc.string({ unit: 'binary', minLength: 1 }).filter(each => each.isWellFormed());
const values = fc.dictionary(name, value, { maxKeys: 6, noNullPrototype: true });
const KEPT = ['course', 'group', 'term', 'since', 'until', 'lang'];

test('each text comes back from an address', () => {
  fc.assert(fc.property(values, given => {
    goTo(address('records', given));
    assert.deepEqual(state(), { page: 'records', ...given });
  }));
});

test('what is empty is not in an address', () => {
  assert.equal(address('students', { course: '', find: null, only: undefined }), '#students');
  goTo('');
  assert.deepEqual(state(), { page: 'overview' });
});

test('a link keeps the course and its like, and nothing else', () => {
  fc.assert(fc.property(values, fc.subarray(KEPT), value, (given, kept, text) => {
    const before = { ...given };
    for (const each of KEPT) delete before[each];
    for (const each of kept) before[each] = text;
    goTo(address('point', before));
    goTo(link('students', { only: 'p1' }));
    const expected = { page: 'students', only: 'p1' };
    for (const each of kept) expected[each] = text;
    assert.deepEqual(state(), expected);
  }));
});

test('a change keeps the rest of the view, and takes away what is empty', () => {
  goTo('#map?course=ALG1&find=x&point=p');
  goTo(changed({ find: '', point: 'q' }));
  assert.deepEqual(state(), { page: 'map', course: 'ALG1', point: 'q' });
});

test('who changes what was returned changes nothing of the view', () => {
  goTo('#map?course=ALG1');
  state().course = 'other';
  assert.equal(state().course, 'ALG1');
});
