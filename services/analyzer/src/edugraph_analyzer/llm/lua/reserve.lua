-- Reserves the next slot of a model's queue, or refuses and reserves nothing. Times are microseconds of this server.
-- KEYS: queue (a hash: the next slot, when its tokens are paid off, since when this server knows of the queue), pause,
-- slots of the key (all models), when the key's tokens are paid off.
-- ARGV: interval, longest wait, time that this request's tokens take, interval of the key (0: any), time that the tokens
-- take of the key. Answers {1, slot, wait, since} or {0, 0, wait, 0}.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, longest, paying, apart, paying_key = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]),
  tonumber(ARGV[4]), tonumber(ARGV[5])
local function number(text) return tonumber(text or '0') end
local function whole(value) return string.format('%.0f', value) end

local queue = redis.call('HMGET', KEYS[1], 'next', 'paid')
local slot = math.max(now, number(queue[1] or nil), number(redis.call('GET', KEYS[2]) or nil))
if paying > 0 then slot = math.max(slot, number(queue[2] or nil)) end
local paid_key = 0
if paying_key > 0 then
  paid_key = math.max(now, number(redis.call('GET', KEYS[4]) or nil))
  slot = math.max(slot, paid_key)
end
if apart > 0 then
  -- The first gap from there on: a slot far off, which a slower model has, keeps nobody from the time before it.
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', whole(now - apart))
  local near = {slot}
  while near[1] do
    near = redis.call('ZREVRANGEBYSCORE', KEYS[3], '(' .. whole(slot + apart), '(' .. whole(slot - apart), 'LIMIT', 0, 1)
    if near[1] then slot = tonumber(near[1]) + apart end
  end
end

if slot - now > longest then return {0, 0, slot - now, 0} end
local kept = math.ceil((slot - now) / 1000) + 3600000
-- A server that forgot (a restart, a lost key) begins a new queue, and nobody who waits in the old one may go.
redis.call('HSETNX', KEYS[1], 'since', whole(now))
redis.call('HSET', KEYS[1], 'next', whole(slot + interval))
if paying > 0 then redis.call('HSET', KEYS[1], 'paid', whole(slot + paying)) end
redis.call('PEXPIRE', KEYS[1], kept)
if apart > 0 then
  redis.call('ZADD', KEYS[3], whole(slot), whole(slot))
  redis.call('PEXPIRE', KEYS[3], kept)
end
if paying_key > 0 then redis.call('SET', KEYS[4], whole(paid_key + paying_key), 'PX', kept) end
return {1, slot, slot - now, number(redis.call('HGET', KEYS[1], 'since'))}
