-- Give a batch a part of the texts that a source may have analysed on a day. KEYS: the hash of the source and day.
-- ARGV: the batch, its number of texts, the number of the day, seconds that the hash is kept.
-- Returns how many of its texts are analysed. A batch that comes again gets the same number.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then return tonumber(known) end
local left = tonumber(ARGV[3]) - tonumber(redis.call('HGET', KEYS[1], 'taken') or '0')
local given = math.min(tonumber(ARGV[2]), left)
if given <= 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], given)
redis.call('HINCRBY', KEYS[1], 'taken', given)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return given
