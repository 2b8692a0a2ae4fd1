-- Put requests to analyse batches at the end of what the job still has to publish, and those for course texts before
-- all others. ARGV: generation, who asks, then the requests (JSON). One that waits already is not put there again.
-- Returns 'start' if the caller must send the message that begins to publish packs, 'waiting' if one is on its way,
-- or why nothing is to be done: 'unknown', 'cancelled', 'stale'.
local why_not = closed(ARGV[1])
if why_not then return why_not end

local function is_text(request) return cjson.decode(request).kind == 'knowledge_points' end

-- The first request that a text may come before. The one whose packs are being published stays at the head, as
-- `next_record` is its own.
local function first_that_can_wait()
  local place = redis.call('HEXISTS', job, 'next_record')
  local request = redis.call('LINDEX', to_analyse, place)
  while request and is_text(request) do
    place = place + 1
    request = redis.call('LINDEX', to_analyse, place)
  end
  return request
end

for i = 3, #ARGV do
  if not redis.call('LPOS', to_analyse, ARGV[i]) then
    local later = is_text(ARGV[i]) and first_that_can_wait()
    if later then
      redis.call('LINSERT', to_analyse, 'BEFORE', later, ARGV[i])
    else
      redis.call('RPUSH', to_analyse, ARGV[i])
    end
  end
end
local answer = 'waiting'
-- Whoever claimed it may have died before it was sent, so the next one sends it, too: a second one does no harm.
if redis.call('HGET', packs_in_queue, 'start') ~= 'sent' then
  redis.call('HSET', packs_in_queue, 'start', ARGV[2])
  answer = 'start'
end
written()
return answer
