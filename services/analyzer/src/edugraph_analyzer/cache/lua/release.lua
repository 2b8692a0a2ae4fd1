-- Gives leases back. KEYS: leases. ARGV: the lease owner, how long a note stands in milliseconds, then for each lease a
-- note of why it failed ('' none), which those who wait take for their answer.
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    local note = ARGV[2 + i]
    if note == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], '!' .. note, 'PX', ARGV[2]) end
  end
end
return 0
