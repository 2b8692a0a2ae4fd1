-- A claimed pack (or 'start') is in the queue. KEYS: the packs in the queue of the job. ARGV: who claimed it, the pack.
-- Only what this one still claims is marked: the pack may have ended already, or Redis may have lost the claim.
local value = redis.call('HGET', KEYS[1], ARGV[2])
if value and (value == ARGV[1] or string.sub(value, 1, #ARGV[1] + 1) == ARGV[1] .. '\n') then
  redis.call('HSET', KEYS[1], ARGV[2], 'sent')
end
