-- Note that a claimed pack (or 'start') is in the queue. KEYS: the packs in the queue of the job. ARGV: name of the
-- claimer, the pack. The pack is marked only if the claim still exists: the pack may have ended already, or Redis may
-- have lost the claim.
local value = redis.call('HGET', KEYS[1], ARGV[2])
if value and (value == ARGV[1] or string.sub(value, 1, #ARGV[1] + 1) == ARGV[1] .. '\n') then
  redis.call('HSET', KEYS[1], ARGV[2], 'sent')
end
