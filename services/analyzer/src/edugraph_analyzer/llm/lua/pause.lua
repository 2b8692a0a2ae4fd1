-- The provider says: nobody, for a while. KEYS: pause, refusals in a row. ARGV: seconds (-1: the provider did not say,
-- so twice as long as the last time), longest pause in seconds. Answers the milliseconds to wait.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local seconds, longest = tonumber(ARGV[1]), tonumber(ARGV[2])
if seconds < 0 then
  local refusals = redis.call('INCR', KEYS[2])
  redis.call('EXPIRE', KEYS[2], 120)
  seconds = math.min(2 ^ refusals, 60)
end
seconds = math.min(seconds, longest)
local till = math.max(now + seconds * 1000000, tonumber(redis.call('GET', KEYS[1]) or '0'))
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil((till - now) / 1000) + 3600000)
return math.ceil((till - now) / 1000)
