-- Gives a lease back. KEYS: lease. ARGV: the lease owner, how long a note stands in milliseconds, a note of why it failed
-- ('' none), which those who wait take for their answer.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  if ARGV[3] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], '!' .. ARGV[3], 'PX', ARGV[2]) end
end
