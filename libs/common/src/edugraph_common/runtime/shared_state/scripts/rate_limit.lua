#!lua flags=allow-oom
-- Take tokens from a client's bucket (GCRA). KEYS: the client's theoretical arrival time. ARGV: microseconds between two
-- requests, the largest burst, and the number of tokens. Returns 0, or the microseconds to wait.
-- A full Redis still gives tokens (allow-oom), so that people can read what is there. The key is small and expires soon.
-- The time is that of the server, because the clocks of gateways may differ.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step, burst, many = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = arrival - (burst - many) * step - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%d', arrival + many * step), 'PX', math.ceil(burst * step / 1000) + 1000)
return 0
