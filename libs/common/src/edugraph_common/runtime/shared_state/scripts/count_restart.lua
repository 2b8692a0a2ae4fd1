-- Count a restart of a job, if one of its messages was delivered since the last restart. KEYS: job. ARGV: now. Returns
-- the number of restarts since the job last made progress, and since when no message was delivered, or now.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, ARGV[1]} end
if redis.call('HDEL', KEYS[1], 'delivered') == 1 then
  return {redis.call('HINCRBY', KEYS[1], 'restarts', 1), ARGV[1]}
end
redis.call('HSETNX', KEYS[1], 'lost_since', ARGV[1])
local restarts, lost_since = unpack(redis.call('HMGET', KEYS[1], 'restarts', 'lost_since'))
return {tonumber(restarts or '0'), lost_since}
