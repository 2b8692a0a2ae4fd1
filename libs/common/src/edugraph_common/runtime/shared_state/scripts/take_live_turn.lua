-- Give a pack of live texts its turn at the model. KEYS: the sorted set of its source. It has the turn of each pack, and
-- as "next" the time of the first free turn. ARGV: the pack, now, the time that the pack occupies, the latest turn that
-- the pack may wait for or "", the time that a turn is kept. Times are in milliseconds.
-- Returns the time until the turn of the pack, or -1 if that is too late. Such a pack gets no turn.
-- A pack that comes again has the same turn.
local now, latest, kept = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local turn = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]))
if not turn then
  turn = math.max(now, tonumber(redis.call('ZSCORE', KEYS[1], 'next')) or 0)
  if latest and turn > now and turn > latest then return -1 end
  -- A turn that is older is that of a lost pack, since the deadline of its job has passed.
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - kept))
  local free = string.format('%.0f', turn + tonumber(ARGV[3]))
  redis.call('ZADD', KEYS[1], string.format('%.0f', turn), ARGV[1], free, 'next')
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return math.max(0, turn - now)
