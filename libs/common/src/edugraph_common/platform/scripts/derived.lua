-- Note that the prerequisites are derived which a job had changed when the caller read this number. KEYS: job. ARGV: the
-- number. What the job has changed since is still to be derived.
if redis.call('HGET', KEYS[1], 'deriving') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'deriving')
