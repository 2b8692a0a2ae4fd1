-- Run one command on a job that is there: a late word about one that has expired must not make a part of it again,
-- which would never expire. KEYS: job. ARGV: command, its arguments. Returns what it answers, or 0.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
