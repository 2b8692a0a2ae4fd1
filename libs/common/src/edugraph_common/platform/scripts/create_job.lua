-- Make jobs. KEYS: all jobs, then of each job itself and its tasks. ARGV: of each job id, kind, source, now,
-- seconds since 1970, records to analyse, tasks (JSON), seconds that the tasks are kept (0: as long as the job), and
-- the version of the form in which the job is kept.
-- Returns how many were not there yet.
local function make(job, kept, id, kind, source, now, seconds, to_analyse, tasks, keep_seconds, schema)
  if redis.call('HSETNX', job, 'created', now) == 0 then return 0 end
  redis.call('HSET', job, 'kind', kind, 'source', source, 'updated', now, 'state', 'queued', 'schema', schema)
  if tonumber(to_analyse) > 0 then
    redis.call('HSET', job, 'batches', 0, 'imported', 1, 'analysis_expected', to_analyse)
  end
  if tasks ~= '' then redis.call('SET', kept, tasks) end
  if tonumber(keep_seconds) > 0 then
    redis.call('EXPIRE', kept, keep_seconds)
    redis.call('HSET', job, 'tasks_expire', 1)
  end
  redis.call('ZADD', KEYS[1], seconds, id)
  return 1
end

local made = 0
for number = 0, (#KEYS - 1) / 2 - 1 do
  made = made + make(KEYS[2 + 2 * number], KEYS[3 + 2 * number], unpack(ARGV, 1 + 9 * number, 9 + 9 * number))
end
return made
