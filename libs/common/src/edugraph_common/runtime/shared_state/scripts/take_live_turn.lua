-- Let a pack of live texts begin, or say when its turn is. KEYS: the sorted set of the packs of a source that wait, with
-- their turns, and that of the packs that have begun, with the times at which they began. The first one also has "next",
-- the first turn that nobody has, and "free", the time from which on a pack may begin. ARGV: the pack, now, the time that
-- the pack occupies, the latest turn that the pack may wait for or "", the time for which a pack is kept. Times are in
-- milliseconds.
-- Returns the time until the turn of the pack, 0 if it may begin, or -1 if its turn is too late. Such a pack gets no turn.
-- A pack that comes again has the same turn. But packs whose turns passed while nobody could analyse them do not begin
-- together: they get new turns.
local pack, now, occupied = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local latest, kept = tonumber(ARGV[4]), tonumber(ARGV[5])
local function whole(number) return string.format('%.0f', number) end
local function time_of(name) return tonumber(redis.call('ZSCORE', KEYS[1], name)) end

if redis.call('ZSCORE', KEYS[2], pack) then return 0 end
local free = time_of('free') or 0
local turn = time_of(pack)
local has_missed_turn = turn and turn <= now and free > now
if not turn or has_missed_turn then
  turn = math.max(now, free, time_of('next') or 0)
  if latest and turn > now and turn > latest then return -1 end
  redis.call('ZADD', KEYS[1], whole(turn), pack, whole(turn + occupied), 'next')
end
if turn <= now then
  -- A pack that begins late leaves the pack behind it no less time, so nothing of the share is lost.
  free = math.max(free, now - occupied) + occupied
  redis.call('ZREM', KEYS[1], pack)
  redis.call('ZADD', KEYS[1], whole(free), 'free')
  redis.call('ZADD', KEYS[2], whole(now), pack)
end
for _, key in ipairs(KEYS) do
  -- What is older belongs to lost packs, since the deadlines of their jobs have passed.
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. whole(now - kept))
  redis.call('PEXPIRE', key, kept)
end
return math.max(0, turn - now)
