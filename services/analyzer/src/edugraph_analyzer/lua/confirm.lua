-- Asks, at the time of a reserved place, whether the request may leave now. KEYS: line, pause.
-- ARGV: the place, how late it may be (microseconds), since when the line was known when the place was given. Answers {1, 0} go; {2, wait} too early; {0, 0} the place is lost:
-- a pause began, the place is long past, or this server forgot what it had promised.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local place = tonumber(ARGV[1])
if redis.call('HGET', KEYS[1], 'since') ~= ARGV[3] then return {0, 0} end
if tonumber(redis.call('GET', KEYS[2]) or '0') > place then return {0, 0} end
if now < place then return {2, place - now} end
if now - place > tonumber(ARGV[2]) then return {0, 0} end
return {1, 0}
