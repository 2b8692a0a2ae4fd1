-- Write an entry into the audit log. KEYS: the stream, the count of this client and day. ARGV: how many entries of this
-- kind a client may leave in a day (0: any number), entries of the stream at most, its oldest time in milliseconds since
-- 1970, then the names and values of the entry. Returns 1 if the stream has it.
local most, entry = tonumber(ARGV[1]), {unpack(ARGV, 4)}
local stored = 1
if most > 0 then
  local number = redis.call('INCR', KEYS[2])
  if number == 1 then redis.call('EXPIRE', KEYS[2], 172800) end
  if number > most then stored = 0 end
  -- The first that is left out leaves a mark: from here on of this client's reads and refusals only the log has more.
  if number == most + 1 then
    for i = 1, #entry, 2 do
      if entry[i] == 'action' then entry[i + 1] = 'capped' end
    end
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(entry))
  end
end
if stored == 1 then redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(entry)) end
redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[3])
return stored
