-- This text is put before each script that writes to one job. KEYS: all keys of the job, in this order.
-- An open job never expires. All keys of a job that has ended expire together, and data that are written later expire
-- with them. Tasks that hold records (field `tasks_expire`) are personal data. They are needed until the job ends, since
-- its messages may wait until then, and afterwards as long as the job may be resumed, a week at most.
local RECORDS_KEPT_SECONDS = 604800
local job, tasks, windows, batches, errors, packs, analysed, to_analyse, packs_in_queue = unpack(KEYS)

local function each_key(command, ...)
  for _, key in ipairs(KEYS) do redis.call(command, key, ...) end
end

local function ended(seconds)
  each_key('EXPIRE', seconds)
  if redis.call('HEXISTS', job, 'tasks_expire') == 1 then redis.call('EXPIRE', tasks, RECORDS_KEPT_SECONDS, 'LT') end
end

local function opened() each_key('PERSIST') end

-- Return why nothing must be done for this generation of the job, or nil. The generation '' is unknown.
local function closed(generation)
  local state = redis.call('HGET', job, 'state')
  if not state then return 'unknown' end
  if state == 'cancelled' or redis.call('HEXISTS', job, 'stopped') == 1 then return 'cancelled' end
  local current = tonumber(redis.call('HGET', job, 'generation') or '0')
  if (tonumber(generation) or current) < current then return 'stale' end
  return nil
end

local function written()
  local left = redis.call('PTTL', job)
  if left > 0 then each_key('PEXPIRE', left, 'LT') end
end
