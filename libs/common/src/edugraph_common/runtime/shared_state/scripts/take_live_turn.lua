-- Give a pack of live texts its turn at the model. KEYS: the hash of its source. ARGV: the pack, now, the time that the
-- pack occupies, seconds that the hash is kept. Times are in milliseconds. Returns the time until the turn of the pack.
-- A pack that comes again has the same turn.
local now, field = tonumber(ARGV[2]), 'turn:' .. ARGV[1]
local turn = tonumber(redis.call('HGET', KEYS[1], field))
if not turn then
  turn = math.max(now, tonumber(redis.call('HGET', KEYS[1], 'next') or '0'))
  redis.call('HSET', KEYS[1], field, string.format('%.0f', turn), 'next', string.format('%.0f', turn + tonumber(ARGV[3])))
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return math.max(0, turn - now)
