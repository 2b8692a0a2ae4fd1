-- Note that the prerequisites of a job are derived, unless the job has changed more of them since the caller read the
-- number. KEYS: job. ARGV: the number. Returns 1 if all are derived.
if redis.call('HGET', KEYS[1], 'deriving') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'deriving')
