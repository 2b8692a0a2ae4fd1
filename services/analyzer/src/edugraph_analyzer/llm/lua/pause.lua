-- The provider failed: nobody goes on for a while, if it said so or failed often enough in a row.
-- KEYS: pause, failures in a row (a hash: how many, and when the last pause was begun), why there is a pause.
-- ARGV: seconds that the provider asks for (0: it did not say), longest pause that it may ask for, slot of the request
-- that failed (0: it is not known), so many failures in a row begin a pause, the first pause, the longest one (seconds),
-- why. What the provider asks for is a minimum: the pause that grows with each failure holds beside it.
-- Answers the milliseconds to wait; 0 while failures are too few for a pause.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local told, slot, enough = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local till = tonumber(redis.call('GET', KEYS[1]) or '0')
local seconds = math.min(told, tonumber(ARGV[2]))
-- Requests that were under way when the pause began tell nothing new: they make it no longer by themselves.
local begun = tonumber(redis.call('HGET', KEYS[2], 'begun') or '0')
local under_way = slot > 0 and slot <= begun
if not under_way then
  local row = redis.call('HINCRBY', KEYS[2], 'row', 1)
  redis.call('EXPIRE', KEYS[2], 7200)
  if row >= enough then
    seconds = math.max(seconds, math.min(tonumber(ARGV[5]) * 2 ^ (row - enough), tonumber(ARGV[6])))
  end
end
if seconds == 0 then
  if under_way then return math.max(math.ceil((till - now) / 1000), 0) end
  return 0
end
redis.call('HSET', KEYS[2], 'begun', string.format('%.0f', now))
redis.call('EXPIRE', KEYS[2], 7200)
till = math.max(now + seconds * 1000000, till)
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil((till - now) / 1000) + 3600000)
redis.call('SET', KEYS[3], ARGV[7], 'PX', math.ceil((till - now) / 1000) + 3600000)
return math.ceil((till - now) / 1000)
