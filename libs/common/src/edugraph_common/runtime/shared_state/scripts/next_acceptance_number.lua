-- Return the first of the next acceptance numbers. KEYS: the last number that was given. ARGV: how many numbers are given. A number is the time in microseconds since 1970, or one
-- more than the last number if the clock has not come that far. The time is the server's own, because the clocks of gateways
-- may differ.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local next_number = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0') + 1)
redis.call('SET', KEYS[1], next_number + ARGV[1] - 1)
return next_number
