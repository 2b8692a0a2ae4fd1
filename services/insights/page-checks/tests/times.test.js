// Which days are asked about, in the time zone of the school.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { goTo } from './browser.js';

const { address } = await import('#page/state.js');
const { timesAsked, weekOf } = await import('#page/times.js');
const { dayOf, showIn } = await import('#page/words.js');

const DAY_MS = 86_400_000;
const ZONES = ['Asia/Shanghai', 'America/St_Johns', 'Pacific/Apia', 'Europe/Berlin', 'UTC'];
const day = fc.date({ min: new Date('2020-01-01'), max: new Date('2030-01-01'), noInvalidDate: true })
  .map(each => each.toISOString().slice(0, 10));

/** Return the day after another one by its number of days. */
const later = (from, days) => new Date(Date.parse(from) + days * DAY_MS).toISOString().slice(0, 10);

test('the narrower of the term and of the chosen days is asked about', () => {
  fc.assert(fc.property(day, day, day, day, (starts, ends, since, until) => {
    showIn('UTC');
    goTo(address('overview', { since, until }));
    const term = { starts: `${starts}T00:00:00Z`, ends: `${ends}T00:00:00Z` };
    const { from, to } = timesAsked(term);
    assert.equal(from.slice(0, 10), since > starts ? since : starts);
    assert.equal(to.slice(0, 10), until < ends ? until : ends);
    assert.deepEqual(timesAsked(undefined), { from: since, to: until });
  }));
});

test('without chosen days, the moments of the term are asked about as they are', () => {
  goTo('#overview');
  assert.deepEqual(timesAsked({ starts: '2026-03-01T16:00:00Z', ends: '2026-07-01T16:00:00Z' }), { from: '2026-03-01T16:00:00Z', to: '2026-07-01T16:00:00Z' });
});

test('a week has seven days, or those of them that are chosen', () => {
  fc.assert(fc.property(day, fc.nat(20), fc.nat(20), (monday, before, length) => {
    goTo('#overview');
    assert.deepEqual(weekOf(monday), { since: monday, until: later(monday, 6) });
    const since = later(monday, 5 - before);
    const until = later(since, length);
    goTo(address('overview', { since, until }));
    const found = weekOf(monday);
    assert.equal(found.since, since > monday ? since : monday);
    assert.equal(found.until, until < later(monday, 6) ? until : later(monday, 6));
  }));
});

test('a moment falls on the day that the clocks of the school show', () => {
  const moment = fc.date({ min: new Date('2012-01-01'), max: new Date('2030-01-01'), noInvalidDate: true });
  fc.assert(fc.property(moment, fc.constantFrom(...ZONES), (at, zone) => {
    showIn(zone);
    // `sv` writes 2026-03-02 12:00, from another part of Intl than the page uses.
    assert.equal(dayOf(at.toISOString()), at.toLocaleString('sv', { timeZone: zone }).slice(0, 10));
  }));
});
