-- memory/associations/propagate.lua: activation spreads from seeds along edges, breadth first.
--
-- KEYS   the edges of each seed (those of others are found on the way, in the same shard)
-- ARGV   prefix, what keys of edges begin with, depth, decay per hop, threshold, how many edges of
--        one key count, seeds...
-- Reply  {key, activation, ...} without the seeds, in no order
-- Cost   O(edges within reach); a key is expanded again only where it is reached with more

local prefix, stem = ARGV[1], ARGV[1] .. ARGV[2]
local depth, decay, threshold, most = ARGV[3] + 0, ARGV[4] + 0, ARGV[5] + 0, ARGV[6] + 0

local queue, first, last = {}, 1, 0
local function enqueue(key, weight, hops)
  last = last + 1
  queue[last] = {key = key, weight = weight, hops = hops}
end

local is_seed, expanded, found = {}, {}, {}
for place = 7, #ARGV do
  is_seed[ARGV[place]] = true
  enqueue(ARGV[place], 1, 0)
end

while first <= last do
  local key, weight, hops = queue[first].key, queue[first].weight, queue[first].hops
  queue[first] = nil
  first = first + 1
  if not expanded[key] or expanded[key] < weight then
    expanded[key] = weight
    if hops < depth then
      local edges = redis.call('ZREVRANGE', stem .. key, 0, most - 1, 'WITHSCORES')
      for place = 1, #edges, 2 do
        local target, reached = edges[place], weight * decay * edges[place + 1]
        if reached >= threshold and reached == reached then
          if not found[target] or found[target] < reached then
            found[target] = reached
          end
          enqueue(target, reached, hops + 1)
        end
      end
    end
  end
end

local reply = {}
for key, activation in pairs(found) do
  if not is_seed[key] then
    reply[#reply + 1] = key
    reply[#reply + 1] = string.format('%.17g', activation)
  end
end
return reply
