-- Comes before each script that writes to one job. KEYS: all keys of the job, in this order.
-- An open job never expires. One that has ended expires with all its keys together, and what is written to it later
-- expires with it. Tasks that hold records (field `tasks_expire`) have an expiry of their own, which is sooner.
local job, tasks, windows, batches, errors, packs, analysed = unpack(KEYS)

local function each_key(command, ...)
  for _, key in ipairs(KEYS) do
    if key ~= tasks or redis.call('HEXISTS', job, 'tasks_expire') == 0 then redis.call(command, key, ...) end
  end
end

local function ended(seconds) each_key('EXPIRE', seconds) end

local function opened() each_key('PERSIST') end

local function written()
  local left = redis.call('PTTL', job)
  if left > 0 then each_key('PEXPIRE', left) end
end
