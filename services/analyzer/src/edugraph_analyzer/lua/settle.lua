-- Puts the tokens that a request really took in the place of the estimate. KEYS: log of tokens.
-- ARGV: the request's entry, the new entry. Nothing happens when the window has passed.
local place = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not place then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], place, ARGV[2])
return 1
