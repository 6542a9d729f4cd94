-- memory/bm25/recomputing.lua: number and mean length of documents, counted.
--
-- KEYS   lengths, number, average
-- ARGV   prefix
-- Reply  how many documents
-- Cost   O(documents)

local number, sum = redis.call('ZCARD', KEYS[1]), 0
for first = 0, number - 1, 1000 do
  local page = redis.call('ZRANGE', KEYS[1], first, first + 999, 'WITHSCORES')
  for index = 2, #page, 2 do
    sum = sum + page[index]
  end
end
if number > 0 or redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SET', KEYS[2], number)
  redis.call('SET', KEYS[3], string.format('%.14g', number > 0 and sum / number or 0))
end
return number
