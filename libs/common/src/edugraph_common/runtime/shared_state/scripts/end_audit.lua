-- Take the oldest entries out of the audit log. KEYS: the list; the key that names the last entry that has ended. ARGV: the
-- oldest time in seconds since 1970 that stays; how many entries stay at most; how many are taken out at most. Return how
-- many were taken out. An entry that nobody can read was put there by hand, and goes with those before it.
local ended = 0
while ended < tonumber(ARGV[3]) do
  local text = redis.call('LINDEX', KEYS[1], 0)
  if not text then break end
  local readable, entry = pcall(cjson.decode, text)
  if not readable or type(entry) ~= 'table' then entry = {} end
  local is_old = (tonumber(entry.at) or 0) < tonumber(ARGV[1])
  if not is_old and redis.call('LLEN', KEYS[1]) <= tonumber(ARGV[2]) then break end
  if entry.number and entry.hash then
    redis.call('SET', KEYS[2], cjson.encode({number = entry.number, hash = entry.hash}))
  end
  redis.call('LPOP', KEYS[1])
  ended = ended + 1
end
return ended
