-- Run a command on a job if Redis knows it. A late report about an expired job must not create a part of it again, which
-- would never expire. KEYS: job. ARGV: command, its arguments. Returns the answer of the command, or 0.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
