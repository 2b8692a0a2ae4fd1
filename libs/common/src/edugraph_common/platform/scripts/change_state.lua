-- Change a job's state if it is one of some. KEYS: job. ARGV: new state, now, finished (or ''), then the states it
-- may have. Returns 1 if it was changed.
local state = redis.call('HGET', KEYS[1], 'state')
local allowed = false
for i = 4, #ARGV do if state == ARGV[i] then allowed = true end end
if not allowed then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'updated', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'finished', ARGV[3])
else redis.call('HDEL', KEYS[1], 'finished', 'error') end
return 1
