-- End a job: change its state if it is one of some. KEYS: job. ARGV: new state, now, why it failed (or ''),
-- 1 if workers are to skip the rest of it (or ''), then the states it may have. Returns 1 if it was changed.
local state = redis.call('HGET', KEYS[1], 'state')
local allowed = false
for i = 5, #ARGV do if state == ARGV[i] then allowed = true end end
if not allowed then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'updated', ARGV[2], 'finished', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'error', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'stopped', ARGV[4]) end
return 1
