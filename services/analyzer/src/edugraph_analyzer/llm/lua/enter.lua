-- Counts a request as under way, unless there are as many as may be. KEYS: requests under way of the model, of the key.
-- ARGV: most of the model (0: any), most of the key, a name for this request, microseconds after which it is taken for
-- lost. Answers 1, or 0 where there is no room.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
for i = 1, 2 do
  local most = tonumber(ARGV[i])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', string.format('%.0f', now))
  if most > 0 and redis.call('ZCARD', KEYS[i]) >= most then return 0 end
end
for i = 1, 2 do
  if tonumber(ARGV[i]) > 0 then
    redis.call('ZADD', KEYS[i], string.format('%.0f', now + tonumber(ARGV[4])), ARGV[3])
    redis.call('PEXPIRE', KEYS[i], math.ceil(tonumber(ARGV[4]) / 1000))
  end
end
return 1
