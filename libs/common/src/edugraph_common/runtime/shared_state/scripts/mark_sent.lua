-- Mark a claimed window of batches as sent. KEYS: the windows of the job. ARGV: first batch. Returns 1 if it was claimed.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], 'sent')
return 1
