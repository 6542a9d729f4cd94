-- memory/sketch/asking.lua: how often items were counted together.
--
-- KEYS   sketch
-- ARGV   prefix (not used), width, depth, mark-one, mark-two, then (item counters...) ...
-- Reply  {1, the count of the item that has the smallest}; {0, what is there instead}
-- Cost   O(items * rows)

local width, depth = ARGV[2] + 0, ARGV[3] + 0

local version, found = sketch_version(KEYS[1], ARGV[4], ARGV[5])
if not version then
  return {0, found}
end
local smallest
for index = 6, #ARGV, depth + 1 do
  local names = counters_at(index, version, width, depth)
  for _, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
    local count = tonumber(value or 0) or 0
    smallest = math.min(smallest or count, count)
  end
end
return {1, smallest or 0}
