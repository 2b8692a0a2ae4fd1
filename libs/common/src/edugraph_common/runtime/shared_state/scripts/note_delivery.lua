-- Note that a worker has got a message. KEYS: its job, the times of its queue. ARGV: the job's generation in the message
-- (or ''), now, the time of the message's publication in milliseconds since 1970 (or ''), and how many of these times
-- are kept.
if ARGV[3] ~= '' then
  redis.call('LPUSH', KEYS[2], ARGV[3])
  redis.call('LTRIM', KEYS[2], 0, ARGV[4] - 1)
end
local state, generation = unpack(redis.call('HMGET', KEYS[1], 'state', 'generation'))
if state ~= 'queued' and state ~= 'running' then return 0 end
-- A message of an older generation does not continue the job.
if tonumber(ARGV[1]) and tonumber(ARGV[1]) < tonumber(generation or '0') then return 0 end
redis.call('HSET', KEYS[1], 'delivered', ARGV[2])
redis.call('HDEL', KEYS[1], 'lost_since')
return 1
