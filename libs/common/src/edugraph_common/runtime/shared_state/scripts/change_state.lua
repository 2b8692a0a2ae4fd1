-- End a job: change its state if its present state allows that. ARGV: new state, now, why it failed (or ''), 1 if
-- workers must skip the rest of the job (or ''), seconds that it is kept, then the allowed present states. Returns 1 if
-- the state was changed.
local state = redis.call('HGET', job, 'state')
local allowed = false
for i = 6, #ARGV do if state == ARGV[i] then allowed = true end end
if not allowed then return 0 end
redis.call('HSET', job, 'state', ARGV[1], 'updated', ARGV[2], 'finished', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', job, 'error', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', job, 'stopped', ARGV[4]) end
ended(ARGV[5])
return 1
