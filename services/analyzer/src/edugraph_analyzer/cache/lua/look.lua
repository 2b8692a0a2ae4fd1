-- One look at a question. KEYS: its answer and its lease. ARGV: the lease owner, lease in milliseconds.
-- Answers {1, answer}; {2, ''} it is the owner's to ask, now or already; {3, ''} another asks; {4, reason} it failed.
local answer = redis.call('GET', KEYS[1])
if answer then return {1, answer} end
local lease = redis.call('GET', KEYS[2])
if not lease then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return {2, ''}
end
if lease == ARGV[1] then return {2, ''} end
if string.sub(lease, 1, 1) == '!' then return {4, string.sub(lease, 2)} end
return {3, ''}
