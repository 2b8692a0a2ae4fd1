-- Take the next packs of a job until its window is full. ARGV: generation, the taker (a pack that has ended, or 'start'),
-- the largest number of packs in the queue, records of a pack if the request does not state them, the time in seconds.
-- Course texts have a separate limit of the same size, since mistakes that wait for them may fill the window.
-- The taker claims each pack until the pack was sent. A taker that died in between gets the pack again.
-- Returns 'open', or why nothing must be done, then for each pack its name, first record, number of records, request.
local why_not = closed(ARGV[1])
if why_not then return {why_not} end

redis.call('HDEL', packs_in_queue, ARGV[2])
-- The name of a pack contains its position among the records, so the size of packs must not change while the job runs.
redis.call('HSETNX', job, 'pack_records', ARGV[4])
local usual = tonumber(redis.call('HGET', job, 'pack_records'))

local claim, found, there = ARGV[2] .. '\n', {'open'}, {texts = 0, others = 0}
local function room_of(kind) return kind == 'knowledge_points' and 'texts' or 'others' end
local function add(name, first, number, request)
  for _, value in ipairs({name, first, number, request}) do found[#found + 1] = value end
end

local kept = redis.call('HGETALL', packs_in_queue)
for i = 1, #kept, 2 do
  if kept[i] ~= 'start' then
    local room = room_of(string.match(kept[i], '^[%a_]+'))
    there[room] = there[room] + 1
  end
  if string.sub(kept[i + 1], 1, #claim) == claim then
    add(kept[i], string.match(kept[i + 1], '\n(%d+)\n(%d+)\n(.*)$'))
  end
end
while true do
  local request = redis.call('LINDEX', to_analyse, 0)
  if not request then break end
  local asked = cjson.decode(request)
  local room = room_of(asked.kind)
  if there[room] >= tonumber(ARGV[3]) then break end
  local size = asked.pack_records or usual
  local first = tonumber(redis.call('HGET', job, 'next_record') or '0')
  local number = math.min(size, asked.expected - first)
  if first + number >= asked.expected then
    redis.call('LPOP', to_analyse)
    redis.call('HDEL', job, 'next_record')
  else
    redis.call('HSET', job, 'next_record', first + number)
  end
  local name = string.format('%s-%d-%d', asked.kind, asked.batch, first / size)
  if number > 0 and redis.call('HEXISTS', packs_in_queue, name) == 0 then
    redis.call('HSET', packs_in_queue, name, claim .. first .. '\n' .. number .. '\n' .. request)
    add(name, first, number, request)
    there[room] = there[room] + 1
    if asked.kind == 'knowledge_points' then
      -- Mistakes of the job wait until settle_pack.lua deletes this mark. Then the findings of the text are in the graph.
      redis.call('HSET', job, 'texts', '1', 'text:' .. name, ARGV[5])
    end
  end
end
written()
return found
