-- Make a job. KEYS: job, its tasks, all jobs. ARGV: id, kind, source, now, seconds since 1970, records to analyse,
-- tasks (JSON), seconds the tasks are kept. Returns 0 if the job is already there.
if redis.call('HSETNX', KEYS[1], 'created', ARGV[4]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'kind', ARGV[2], 'source', ARGV[3], 'updated', ARGV[4], 'state', 'queued')
if tonumber(ARGV[6]) > 0 then
  redis.call('HSET', KEYS[1], 'batches', 0, 'imported', 1, 'analysis_expected', ARGV[6])
end
if ARGV[7] ~= '' then redis.call('SET', KEYS[2], ARGV[7], 'EX', ARGV[8]) end
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1])
return 1
