-- Asks, at the time of a reserved slot, whether the request may leave now. KEYS: queue, pause.
-- ARGV: the slot, how late it may be (microseconds), since when the queue was known when the slot was given.
-- Answers {1, 0} go; {2, wait} too early; {0, 0} the slot is lost: a pause began, the slot is long past, or this server
-- forgot what it had promised.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local slot = tonumber(ARGV[1])
if redis.call('HGET', KEYS[1], 'since') ~= ARGV[3] then return {0, 0} end
if tonumber(redis.call('GET', KEYS[2]) or '0') > slot then return {0, 0} end
if now < slot then return {2, slot - now} end
if now - slot > tonumber(ARGV[2]) then return {0, 0} end
return {1, 0}
