-- End a job whose import and analysis are complete. ARGV: now, seconds that it is kept. Returns its final state, or '' if
-- it did not end, or 'deriving' if prerequisites must be derived first. A job that has ended may also be 'deriving'.
local function number(name) return tonumber(redis.call('HGET', job, name) or '0') end

local state = redis.call('HGET', job, 'state')
local is_deriving = redis.call('HEXISTS', job, 'deriving') == 1
if state and is_deriving and state ~= 'queued' and state ~= 'running' then return 'deriving' end
if not state or redis.call('HEXISTS', job, 'stopped') == 1 then return '' end
if state == 'cancelled' or state == 'succeeded' or (state == 'failed' and redis.call('HEXISTS', job, 'failed_batches') == 0) then return '' end
-- Redis may have lost the job after all its batches were written. The number of its batches becomes known when the job is
-- split again.
if redis.call('HEXISTS', job, 'batches') == 0 then return '' end
if number('imported') == 0 or number('batches_done') < number('batches') then return '' end
if number('analysis_done') + number('analysis_failed') < number('analysis_expected') then return '' end
if is_deriving then return 'deriving' end

local good = number('analysis_done')
for _, name in ipairs({'written', 'replaced', 'unchanged', 'older', 'taken_back'}) do good = good + number(name) end
-- A batch whose rows are gone fails without a single row that could be counted.
local failed_batches = #cjson.decode(redis.call('HGET', job, 'failed_batches') or '[]')
local bad = failed_batches + number('failed') + number('analysis_failed')
local final, why = 'succeeded', ''
if bad > 0 then
  final = good > 0 and 'partly failed' or 'failed'
  why = redis.call('HGET', job, 'last_batch_error') or redis.call('HGET', job, 'last_pack_error') or ''
elseif good == 0 and number('rejected') > 0 and number('not_relevant') == 0 then
  final, why = 'failed', 'no record of it is valid'
end
if final == state then return '' end
redis.call('HSET', job, 'state', final, 'updated', ARGV[1], 'finished', ARGV[1])
if why ~= '' then redis.call('HSET', job, 'error', why) else redis.call('HDEL', job, 'error') end
ended(ARGV[2])
-- A job that has succeeded is not resumed, so the records in its tasks are not needed any more.
if final == 'succeeded' and redis.call('HEXISTS', job, 'tasks_expire') == 1 then redis.call('DEL', tasks) end
return final
