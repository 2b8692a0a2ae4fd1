-- Append requests to analyse batches to the waiting requests of a job. Requests for course texts go before all others,
-- and a request that already waits is not added again. ARGV: generation, name of the caller, then the requests (JSON).
-- Returns 'start' if the caller must send the message that begins to publish packs, 'waiting' if such a message was
-- sent, or why nothing is done: 'unknown', 'cancelled', 'stale'.
local why_not = closed(ARGV[1])
if why_not then return why_not end

local function is_text(request) return cjson.decode(request).kind == 'knowledge_points' end

-- Return the first request before which a text may be inserted. The request whose packs are being published stays at
-- the head, because `next_record` belongs to it.
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
-- The process that claimed the message may have died before it sent it. So the next caller sends it too, since a second
-- message does no harm.
if redis.call('HGET', packs_in_queue, 'start') ~= 'sent' then
  redis.call('HSET', packs_in_queue, 'start', ARGV[2])
  answer = 'start'
end
written()
return answer
