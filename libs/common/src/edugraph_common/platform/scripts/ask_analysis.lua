-- Put requests to analyse batches at the end of what the job still has to publish. ARGV: generation, who asks, then
-- the requests (JSON). One that waits already is not put there again.
-- Returns 'start' if the caller must send the message that begins to publish packs, 'waiting' if one is on its way,
-- or why nothing is to be done: 'unknown', 'cancelled', 'stale'.
local why_not = closed(ARGV[1])
if why_not then return why_not end

for i = 3, #ARGV do
  if not redis.call('LPOS', to_analyse, ARGV[i]) then redis.call('RPUSH', to_analyse, ARGV[i]) end
end
local answer = 'waiting'
-- Whoever claimed it may have died before it was sent, so the next one sends it, too: a second one does no harm.
if redis.call('HGET', packs_in_queue, 'start') ~= 'sent' then
  redis.call('HSET', packs_in_queue, 'start', ARGV[2])
  answer = 'start'
end
written()
return answer
