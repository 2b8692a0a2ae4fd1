// The module that asks: what is asked again, what is remembered, and what a reader is shown where no answer comes. The
// answers are made up, since the real servers do not fail on demand.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import './browser.js';

const { Problem, ask, call, forget, whoIsIn } = await import('#page/api.js');

const ANSWER = { rows: [], of_how_many: {}, left_out: {} };
let asked; // addresses, in their order
let answers; // what is answered in turn; the last one is answered for ever

function refusal(status, type, headers = {}) {
  return () => new Response(JSON.stringify({ type: `urn:edugraph:problem:${type}`, detail: 'why' }), { status, headers });
}

const whole = () => new Response(JSON.stringify(ANSWER));
const away = () => { throw new TypeError('no connection'); };
const broken = () => new Response('<html>');

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  asked = [];
  answers = [whole];
  forget();
  globalThis.fetch = async address => {
    asked.push(address);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return answer();
  };
});
afterEach(() => mock.timers.reset());

/** Return how a promise ends, while the clock goes on by seconds as often as that is needed. */
async function ended(promise, seconds = 1) {
  let outcome = null;
  promise.then(value => { outcome = { value }; }, problem => { outcome = { problem }; });
  for (let tried = 0; outcome === null && tried < 500; tried += 1) {
    await new Promise(resolve => setImmediate(resolve));
    mock.timers.tick(seconds * 1000);
  }
  assert.notEqual(outcome, null);
  return outcome;
}

test('an answer is remembered for half a minute', async () => {
  await ask('/items', { course: 'ALG1' });
  mock.timers.tick(29_000);
  await ask('/items', { course: 'ALG1' });
  assert.equal(asked.length, 1);
  mock.timers.tick(2_000);
  await ask('/items', { course: 'ALG1' });
  assert.equal(asked.length, 2);
});

test('who signs in later is not shown what another one was', async () => {
  await ask('/items', {});
  forget();
  answers = [away];
  const { problem } = await ended(ask('/items', {}));
  assert.equal(problem.type, 'unavailable');
});

test('a busy server is asked again after the time that it names, six times at most', async () => {
  answers = [refusal(503, 'busy', { 'Retry-After': '2' })];
  const { problem } = await ended(ask('/items', {}));
  assert.equal(problem.type, 'busy');
  assert.equal(asked.length, 6);
});

test('a busy server that is free again answers', async () => {
  answers = [refusal(503, 'busy', { 'Retry-After': '2' }), refusal(503, 'busy', { 'Retry-After': '1' }), whole];
  const { value } = await ended(ask('/items', {}));
  assert.deepEqual(value, ANSWER);
  assert.equal(asked.length, 3);
});

for (const [name, seconds] of [['no time', '0'], ['a long time', '61'], ['words', 'soon'], ['a time before now', '-1']]) {
  test(`a busy server that names ${name} is not asked again`, async () => {
    answers = [refusal(503, 'busy', { 'Retry-After': seconds })];
    const { problem } = await ended(ask('/items', {}));
    assert.equal(problem.type, 'busy');
    assert.equal(asked.length, 1);
  });
}

for (const [name, answer, type] of [
  ['no connection', away, 'unavailable'],
  ['a body that cannot be read', broken, 'broken'],
  ['an answer without its counts', () => new Response('{"rows": []}'), 'broken'],
  ['rows that are no objects', () => new Response(JSON.stringify({ ...ANSWER, rows: [1] })), 'broken'],
  ['a refusal of something in between', () => new Response('gateway', { status: 502 }), 'unavailable'],
]) {
  test(`${name} in place of an answer is a problem, and the last answer is shown with it`, async () => {
    const { value: first } = await ended(ask('/items', {}));
    assert.equal('outdated' in first, false);
    mock.timers.tick(31_000);
    answers = [answer];
    const { value: again } = await ended(ask('/items', {}));
    assert.ok(again.outdated instanceof Problem);
    assert.equal(again.outdated.type, type);
    const { problem } = await ended(ask('/others', {}));
    assert.equal(problem.type, type);
    const before = asked.length;
    await ended(ask('/others', {}));
    assert.equal(asked.length, before + 1); // a problem is not remembered
  });
}

test('a refusal that will not pass is not hidden behind the last answer', async () => {
  await ended(ask('/items', {}));
  mock.timers.tick(31_000);
  answers = [refusal(403, 'scope')];
  const { problem } = await ended(ask('/items', {}));
  assert.equal(problem.type, 'scope');
});

test('rights that are too old are renewed once, and their end is said', async () => {
  const inside = () => new Response('{"state": "in"}');
  answers = [refusal(401, 'session'), inside, whole];
  const { value } = await ended(call('GET', '/v1/jobs'));
  assert.equal(value.ok, true);
  assert.deepEqual(asked, ['/v1/jobs', '/ui/session', '/v1/jobs']);

  let ends = 0;
  document.addEventListener('session-ended', () => { ends += 1; });
  globalThis.Event = document.defaultView.Event; // jsdom takes only its own events
  answers = [refusal(401, 'session'), () => new Response('{"state": "out"}')];
  const { problem } = await ended(call('GET', '/v1/jobs'));
  assert.equal(problem.type, 'session');
  assert.equal(ends, 1);
});

test('a session that could not be asked for is asked for again', async () => {
  answers = [away, () => new Response('{"state": "in"}')];
  const { problem } = await ended(whoIsIn());
  assert.equal(problem.type, 'unavailable');
  const { value } = await ended(whoIsIn());
  assert.equal(value.state, 'in');
});
