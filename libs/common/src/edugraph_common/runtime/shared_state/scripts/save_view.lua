-- Store a saved view. KEYS[1] is the hash of one caller's views. ARGV: id, view, the largest number of views,
-- milliseconds until all of them expire. A new view needs room. If the largest number is 0, only an existing view is
-- replaced. Returns 1 if the view was stored.
local id, view, most, lifetime = unpack(ARGV)
if redis.call('HEXISTS', KEYS[1], id) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(most) then return 0 end
redis.call('HSET', KEYS[1], id, view)
redis.call('PEXPIRE', KEYS[1], lifetime)
return 1
