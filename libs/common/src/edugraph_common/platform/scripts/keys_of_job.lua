-- Comes before each script that writes to one job. KEYS: all keys of the job, in this order.
-- An open job never expires. One that has ended expires with all its keys together, and what is written to it later
-- expires with it. Tasks that hold records (field `tasks_expire`) have an expiry of their own, which is sooner.
local job, tasks, windows, batches, errors, packs, analysed, to_analyse, packs_in_queue = unpack(KEYS)

local function each_key(command, ...)
  for _, key in ipairs(KEYS) do
    if key ~= tasks or redis.call('HEXISTS', job, 'tasks_expire') == 0 then redis.call(command, key, ...) end
  end
end

local function ended(seconds) each_key('EXPIRE', seconds) end

local function opened() each_key('PERSIST') end

-- Why nothing is to be done for this generation of the job ('': one that is not known), or nil.
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
  if left > 0 then each_key('PEXPIRE', left) end
end
