-- Keeps a saved view. KEYS[1] is the hash of one caller's views; ARGV: id, view, how many views there may be,
-- milliseconds until all of them go. A view that is not there needs room; with room for none, it only replaces one.
-- Returns 1 if it was kept.
local id, view, most, lifetime = unpack(ARGV)
if redis.call('HEXISTS', KEYS[1], id) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(most) then return 0 end
redis.call('HSET', KEYS[1], id, view)
redis.call('PEXPIRE', KEYS[1], lifetime)
return 1
