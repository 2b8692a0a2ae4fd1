-- Mark packs of course texts that are sent without a place in the window, as take_packs.lua does. ARGV: the time in
-- seconds, then the packs. Of a job that Redis does not know nothing is marked: nobody would take it away.
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HSET', job, 'texts', '1')
for i = 2, #ARGV do redis.call('HSET', job, 'text:' .. ARGV[i], ARGV[1]) end
written()
return 1
