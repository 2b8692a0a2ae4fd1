-- Claim a window of batches, so that a split that is delivered twice sends it once. ARGV: generation, first batch,
-- batches of the job, rows of the job, now, now in seconds, seconds of the claim.
-- A claim that `sent` did not confirm ends by itself, because its process may have died.
-- Returns 'begun', or why not: 'unknown', 'cancelled', 'stale' (of an older generation), 'sent', 'busy'.
local state = redis.call('HGET', job, 'state')
if not state then return 'unknown' end
if state == 'cancelled' then return 'cancelled' end
local generation = tonumber(redis.call('HGET', job, 'generation') or '0')
if tonumber(ARGV[1]) < generation then return 'stale' end

local claim = redis.call('HGET', windows, ARGV[2])
if claim == 'sent' then return 'sent' end
if claim and tonumber(claim) > tonumber(ARGV[6]) then return 'busy' end
redis.call('HSET', windows, ARGV[2], ARGV[6] + ARGV[7])
redis.call('HSET', job, 'generation', ARGV[1], 'state', 'running', 'updated', ARGV[5], 'batches', ARGV[3], 'expected', ARGV[4])
redis.call('HDEL', job, 'finished', 'error', 'stopped')
opened()
return 'begun'
