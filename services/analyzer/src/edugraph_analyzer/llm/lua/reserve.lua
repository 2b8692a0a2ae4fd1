-- Reserves the next slot of the queue, or refuses and reserves nothing. All times are microseconds of this server.
-- KEYS: queue (a hash: the next slot, and since when this server knows of the queue), pause, log of tokens.
-- ARGV: interval, longest wait, tokens of this request, tokens allowed in a window (0: any), length of a window, a name
-- for this request.
-- Answers {1, slot, wait, since} or {0, 0, wait, 0}.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, longest, tokens, allowed, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]),
  tonumber(ARGV[4]), tonumber(ARGV[5])
local slot = math.max(now, tonumber(redis.call('HGET', KEYS[1], 'next') or '0'), tonumber(redis.call('GET', KEYS[2]) or '0'))

if allowed > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - window))
  local log = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
  local spent = 0
  for i = 1, #log, 2 do spent = spent + tonumber(string.match(log[i], '^%d+')) end
  -- The oldest requests leave the window one after another, until this one fits in.
  for i = 1, #log, 2 do
    local leaves = tonumber(log[i + 1]) + window
    if leaves > slot then
      if spent + tokens <= allowed then break end
      slot = leaves
    end
    spent = spent - tonumber(string.match(log[i], '^%d+'))
  end
end

if slot - now > longest then return {0, 0, slot - now, 0} end
-- A server that forgot (a restart, a lost key) begins a new queue, and nobody who waits in the old one may go.
redis.call('HSETNX', KEYS[1], 'since', string.format('%.0f', now))
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', slot + interval))
redis.call('PEXPIRE', KEYS[1], math.ceil((slot - now) / 1000) + 3600000)
if allowed > 0 then
  redis.call('ZADD', KEYS[3], string.format('%.0f', slot), tokens .. ':' .. ARGV[6])
  redis.call('PEXPIRE', KEYS[3], math.ceil((slot - now + window) / 1000) + 1000)
end
return {1, slot, slot - now, tonumber(redis.call('HGET', KEYS[1], 'since'))}
