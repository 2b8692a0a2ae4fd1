-- Add the progress of a pack to its job once. The progress of a replayed pack replaces its failed progress.
-- ARGV: pack, progress (JSON), now, error, 1 if it changed which prerequisites are claimed (or ''). Returns 1 if it was
-- added.
local batch = string.match(ARGV[1], '^[%a_]+%-(%d+)%-')  -- KIND-BATCH-NUMBER
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HDEL', job, 'text:' .. ARGV[1])

local function count(progress, sign)
  for _, name in ipairs({'done', 'failed', 'cached', 'input_tokens', 'output_tokens', 'withheld'}) do
    -- A worker of another release may know fewer counts.
    redis.call('HINCRBY', job, 'analysis_' .. name, sign * (progress[name] or 0))
  end
  redis.call('HINCRBYFLOAT', job, 'analysis_cost', sign * progress.cost)
  if batch then redis.call('HINCRBY', analysed, batch, sign * progress.done) end
end

local new = cjson.decode(ARGV[2])
local old = redis.call('HGET', packs, ARGV[1])
if old then
  old = cjson.decode(old)
  if old.failed == 0 or new.failed >= old.failed then return 0 end
  count(old, -1)
end
count(new, 1)
if ARGV[5] == '1' then redis.call('HINCRBY', job, 'deriving', 1) end
redis.call('HSET', packs, ARGV[1], ARGV[2])
redis.call('HSET', job, 'updated', ARGV[3])
redis.call('HDEL', job, 'restarts')
written()
if ARGV[4] ~= '' then redis.call('HSET', job, 'last_pack_error', ARGV[4]) end
return 1
