-- Count that a job is sent again. KEYS: job. ARGV: now. Returns how often that was done since it last made progress, and
-- since when none of its messages was delivered, or now. A restart counts if a message was delivered since the last one.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, ARGV[1]} end
if redis.call('HDEL', KEYS[1], 'delivered') == 1 then
  return {redis.call('HINCRBY', KEYS[1], 'restarts', 1), ARGV[1]}
end
redis.call('HSETNX', KEYS[1], 'lost_since', ARGV[1])
local restarts, lost_since = unpack(redis.call('HMGET', KEYS[1], 'restarts', 'lost_since'))
return {tonumber(restarts or '0'), lost_since}
