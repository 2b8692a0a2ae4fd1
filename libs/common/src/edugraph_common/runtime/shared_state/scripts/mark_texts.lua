-- Mark packs of course texts that are sent outside the window. take_packs.lua marks the packs of the window in the same
-- way. ARGV: the time in seconds, then the packs. If Redis does not know the job, nothing is marked, since the marks
-- would never be deleted.
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HSET', job, 'texts', '1')
for i = 2, #ARGV do redis.call('HSET', job, 'text:' .. ARGV[i], ARGV[1]) end
written()
return 1
