-- Make jobs. KEYS: all jobs, then of each job itself, its tasks and the owner of its first task. ARGV: of each job id, kind, source, now,
-- seconds since 1970, records to analyse, tasks (JSON), 1 if the tasks hold records (or 0), and the version of the form in which the job is kept, the client that made it (or ''), and seconds that the owner of
-- the task is kept.
-- Returns how many were not there yet.
local function make(job, kept, task_owner, id, kind, source, now, seconds, to_analyse, tasks, hold_records, schema, owner, owner_seconds)
  if redis.call('HSETNX', job, 'created', now) == 0 then return 0 end
  redis.call('HSET', job, 'kind', kind, 'source', source, 'updated', now, 'state', 'queued', 'schema', schema)
  if owner ~= '' then
    redis.call('HSET', job, 'owner', owner)
    redis.call('SET', task_owner, owner, 'EX', owner_seconds)
  end
  if tonumber(to_analyse) > 0 then
    redis.call('HSET', job, 'batches', 0, 'imported', 1, 'analysis_expected', to_analyse)
  end
  if tasks ~= '' then redis.call('SET', kept, tasks) end
  if tonumber(hold_records) == 1 then redis.call('HSET', job, 'tasks_expire', 1) end
  redis.call('ZADD', KEYS[1], seconds, id)
  return 1
end

local made = 0
for number = 0, (#KEYS - 1) / 3 - 1 do
  local first, given = 2 + 3 * number, 1 + 11 * number
  made = made + make(KEYS[first], KEYS[first + 1], KEYS[first + 2], unpack(ARGV, given, given + 10))
end
return made
