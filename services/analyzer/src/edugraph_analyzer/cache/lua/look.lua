-- One look at several questions. KEYS: answer and lease of each, in turn. ARGV: the lease owner, lease in milliseconds.
-- For each: {1, answer}; {2, ''} it is the owner's to ask, now or already; {3, ''} another asks; {4, reason} it failed.
local seen = {}
for i = 1, #KEYS, 2 do
  local answer = redis.call('GET', KEYS[i])
  local lease = redis.call('GET', KEYS[i + 1])
  if answer then
    seen[#seen + 1] = {1, answer}
  elseif not lease then
    redis.call('SET', KEYS[i + 1], ARGV[1], 'PX', ARGV[2])
    seen[#seen + 1] = {2, ''}
  elseif lease == ARGV[1] then
    seen[#seen + 1] = {2, ''}
  elseif string.sub(lease, 1, 1) == '!' then
    seen[#seen + 1] = {4, string.sub(lease, 2)}
  else
    seen[#seen + 1] = {3, ''}
  end
end
return seen
