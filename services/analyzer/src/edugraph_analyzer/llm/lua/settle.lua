-- A request was answered. KEYS: queue, when the key's tokens are paid off, failures in a row.
-- ARGV: the time by which its tokens took longer than was thought (less: negative), likewise of the key.
-- Neither key gets another time to live.
redis.call('DEL', KEYS[3])
local more, more_key = tonumber(ARGV[1]), tonumber(ARGV[2])
local paid = redis.call('HGET', KEYS[1], 'paid')
if paid and more ~= 0 then redis.call('HSET', KEYS[1], 'paid', string.format('%.0f', tonumber(paid) + more)) end
local paid_key = redis.call('GET', KEYS[2])
if paid_key and more_key ~= 0 then
  redis.call('SET', KEYS[2], string.format('%.0f', tonumber(paid_key) + more_key), 'KEEPTTL')
end
return 0
