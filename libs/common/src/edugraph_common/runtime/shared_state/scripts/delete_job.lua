-- Delete a job that has ended. ARGV: now, seconds that it is remembered as cancelled, so that a late message of the job
-- is skipped; then the allowed present states. Returns 1 if the job was deleted.
local state, allowed = redis.call('HGET', job, 'state'), false
for i = 3, #ARGV do if state == ARGV[i] then allowed = true end end
if not allowed then return 0 end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', job, 'created', ARGV[1], 'updated', ARGV[1], 'finished', ARGV[1], 'state', 'cancelled')
redis.call('EXPIRE', job, ARGV[2])
return 1
