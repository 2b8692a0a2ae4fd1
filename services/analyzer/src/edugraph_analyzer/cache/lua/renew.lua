-- Keeps the owner's lease alive. KEYS: lease. ARGV: the lease owner, lease in milliseconds.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
