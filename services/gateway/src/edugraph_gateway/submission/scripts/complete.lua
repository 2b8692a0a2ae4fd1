-- Keep the answer to an idempotency key, unless another request holds its claim. KEYS: the key. ARGV: claim, what is
-- kept (JSON), seconds. Returns 1 if it was kept.
local stored = redis.call('GET', KEYS[1])
if stored and cjson.decode(stored).claim ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
