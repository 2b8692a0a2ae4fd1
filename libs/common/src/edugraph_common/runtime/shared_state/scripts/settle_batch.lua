-- Add the outcome of a batch to its job once. The outcome of a replayed batch replaces its failed outcome.
-- ARGV: batch, outcome (JSON), now, number of errors to keep. Returns 1 if the outcome was added.
if redis.call('EXISTS', job) == 0 then return 0 end

-- The names come from the file, so their number has no limit. Names after the first 200 are counted together.
local function skip(name, number, sign)
  local field = 'skipped:' .. name
  if redis.call('HEXISTS', job, field) == 0 and redis.call('HINCRBY', job, 'skipped_names', 1) > 200 then
    field = 'skipped:(other)'
  end
  redis.call('HINCRBY', job, field, sign * number)
  redis.call('HINCRBY', job, 'not_relevant', sign * number)
end

local function count(outcome, sign)
  local names = {'read', 'written', 'replaced', 'unchanged', 'older', 'taken_back', 'rejected', 'failed', 'unknown', 'analysis_expected', 'over_budget'}
  for _, name in ipairs(names) do
    -- A worker of another release may know fewer counts.
    redis.call('HINCRBY', job, name, sign * (outcome[name] or 0))
  end
  for kind, number in pairs(outcome.by_type) do redis.call('HINCRBY', job, 'type:' .. kind, sign * number) end
  for reason, number in pairs(outcome.reasons) do redis.call('HINCRBY', job, 'reason:' .. reason, sign * number) end
  for name, number in pairs(outcome.not_relevant or {}) do skip(name, number, sign) end
end

local function failed_batches(change)
  local known = cjson.decode(redis.call('HGET', job, 'failed_batches') or '[]')
  local kept = {}
  for _, batch in ipairs(known) do if batch ~= tonumber(ARGV[1]) then kept[#kept + 1] = batch end end
  if change == 'add' then kept[#kept + 1] = tonumber(ARGV[1]) end
  redis.call('HSET', job, 'failed_batches', #kept == 0 and '[]' or cjson.encode(kept))
end

local new = cjson.decode(ARGV[2])
local old = redis.call('HGET', batches, ARGV[1])
if old then
  old = cjson.decode(old)
  if old.state == 'written' or new.state == 'failed' then return 0 end
  count(old, -1)
  failed_batches('remove')
else
  redis.call('HINCRBY', job, 'batches_done', 1)
end
count(new, 1)
if new.state == 'failed' then
  failed_batches('add')
  redis.call('HINCRBY', job, 'failed_in_a_row', 1)
  redis.call('HSET', job, 'last_batch_error', new.error ~= cjson.null and new.error or '')
else
  redis.call('HDEL', job, 'failed_in_a_row')
end
for _, reject in ipairs(new.errors) do
  if redis.call('LLEN', errors) < tonumber(ARGV[4]) then redis.call('RPUSH', errors, cjson.encode(reject)) end
end
if new.claims_changed then redis.call('HINCRBY', job, 'deriving', 1) end
redis.call('HSET', batches, ARGV[1], ARGV[2])
redis.call('HSET', job, 'updated', ARGV[3])
redis.call('HDEL', job, 'restarts')
written()
return 1
