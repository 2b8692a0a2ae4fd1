-- Keeps the owner's leases alive. KEYS: leases. ARGV: the lease owner, lease in milliseconds.
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return 0
