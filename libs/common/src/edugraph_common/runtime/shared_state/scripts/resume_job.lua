-- Open a job again as a new generation. Its failed batches and packs count as not done, and messages of the older
-- generation are skipped. ARGV: now, then the allowed present states. Returns the generation, or 0.
local state, allowed = redis.call('HGET', job, 'state'), false
for i = 2, #ARGV do if state == ARGV[i] then allowed = true end end
if not allowed then return 0 end

for _, batch in ipairs(cjson.decode(redis.call('HGET', job, 'failed_batches') or '[]')) do
  local outcome = redis.call('HGET', batches, batch)
  if outcome then
    outcome = cjson.decode(outcome)
    redis.call('HINCRBY', job, 'read', -outcome.read)
    redis.call('HINCRBY', job, 'failed', -outcome.failed)
    redis.call('HINCRBY', job, 'batches_done', -1)
    redis.call('HDEL', batches, batch)
  end
end
if tonumber(redis.call('HGET', job, 'analysis_failed') or '0') > 0 then
  local kept = redis.call('HGETALL', packs)
  for i = 1, #kept, 2 do
    local progress = cjson.decode(kept[i + 1])
    if progress.failed > 0 then
      for _, name in ipairs({'done', 'failed', 'cached', 'input_tokens', 'output_tokens'}) do
        redis.call('HINCRBY', job, 'analysis_' .. name, -progress[name])
      end
      redis.call('HINCRBYFLOAT', job, 'analysis_cost', -progress.cost)
      local batch = string.match(kept[i], '^[%a_]+%-(%d+)%-')
      if batch then redis.call('HINCRBY', analysed, batch, -progress.done) end
      redis.call('HDEL', packs, kept[i])
    end
  end
end
opened()
-- The job is resumed, so earlier restarts by the reaper do not count any more.
if state ~= 'queued' and state ~= 'running' then redis.call('HDEL', job, 'restarts', 'delivered', 'lost_since') end
redis.call('DEL', windows, to_analyse, packs_in_queue)
redis.call('HDEL', job, 'next_record')
redis.call('HSET', job, 'state', 'running', 'updated', ARGV[1], 'failed_batches', '[]')
-- An analysis job has no batches, so only its packs decide when it ends.
if redis.call('HGET', job, 'kind') == 'import' then redis.call('HSET', job, 'imported', 0) end
redis.call('HDEL', job, 'finished', 'error', 'stopped', 'failed_in_a_row', 'last_batch_error', 'last_pack_error')
return redis.call('HINCRBY', job, 'generation', 1)
