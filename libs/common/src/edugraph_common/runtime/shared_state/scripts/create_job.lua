-- Make a job, if it is not there yet. KEYS: all jobs, the job, its tasks, the owner of its first task. ARGV: id, kind, source, now,
-- seconds since 1970, records to analyse, tasks (JSON), 1 if the tasks hold records (or 0), the version of the form in which the job is
-- kept, the client that made it (or ''), seconds that the owner of the task is kept, and the
-- name of the source of the records.
-- Returns 1 if it was not there.
local jobs, job, kept_tasks, task_owner = unpack(KEYS)
local id, kind, source, now, seconds, to_analyse, tasks, hold_records, schema, owner, owner_seconds, source_name = unpack(ARGV)
if redis.call('HSETNX', job, 'created', now) == 0 then return 0 end
redis.call('HSET', job, 'kind', kind, 'source', source, 'updated', now, 'state', 'queued', 'schema', schema)
redis.call('HSET', job, 'source_name', source_name)
if owner ~= '' then
  redis.call('HSET', job, 'owner', owner)
  redis.call('SET', task_owner, owner, 'EX', owner_seconds)
end
if tonumber(to_analyse) > 0 then
  redis.call('HSET', job, 'batches', 0, 'imported', 1, 'analysis_expected', to_analyse)
end
if tasks ~= '' then redis.call('SET', kept_tasks, tasks) end
if tonumber(hold_records) == 1 then redis.call('HSET', job, 'tasks_expire', 1) end
redis.call('ZADD', jobs, seconds, id)
return 1
