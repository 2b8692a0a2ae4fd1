-- Puts the tokens that a request really took in the place of the estimate. KEYS: log of tokens.
-- ARGV: the request's entry, the new entry. Nothing happens when the window has passed.
local slot = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not slot then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], slot, ARGV[2])
return 1
