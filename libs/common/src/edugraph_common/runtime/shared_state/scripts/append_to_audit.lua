-- Add an entry to the end of the audit log. KEYS: the count of this client and day; the event, if it is written down once.
-- ARGV: the list; the key that names the last entry that has ended; the last entry that the caller knows; how many entries
-- of this kind a client may leave in a day (0: any number); the entry, which follows the last one; the mark in its place if
-- it is the first of too many; the seconds for which an event is remembered. Return the result ('stored', 'left out',
-- 'known' if the event is in the log, or 'changed' if the last entry is another one) and the last entry now.
-- The list is no declared key: a service may add to it and may not write it otherwise, and EVAL asks for all rights.
local last = redis.call('LINDEX', ARGV[1], -1) or redis.call('GET', ARGV[2]) or ''
if last ~= ARGV[3] then return {'changed', last} end
if KEYS[2] and not redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[7]) then return {'known', last} end
local most = tonumber(ARGV[4])
if most > 0 then
  local number = redis.call('INCR', KEYS[1])
  if number == 1 then redis.call('EXPIRE', KEYS[1], 172800) end
  if number > most + 1 then return {'left out', last} end
  if number == most + 1 then
    redis.call('RPUSH', ARGV[1], ARGV[6])
    return {'left out', ARGV[6]}
  end
end
redis.call('RPUSH', ARGV[1], ARGV[5])
return {'stored', ARGV[5]}
