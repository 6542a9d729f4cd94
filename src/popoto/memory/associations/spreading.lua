-- memory/associations/spreading.lua: activation spreads from seeds along edges, breadth first.
--
-- Keys of edges begin with `stem`. Returns the activation by key, seeds left out. A key is expanded
-- again only where it is reached with more; `most` edges of one key count, the heaviest. `strengths`:
-- what seeds begin with, if not with 1; what is reached is told of them, too. `leave` is told of each
-- key that is expanded, how strongly and after how many hops.

local function spread_from(seeds, stem, depth, decay, threshold, most, strengths, leave)
  local queue, first, last = {}, 1, 0
  local function enqueue(key, weight, hops)
    last = last + 1
    queue[last] = {key = key, weight = weight, hops = hops}
  end

  local expanded, found = {}, {}
  for place, seed in ipairs(seeds) do
    enqueue(seed, strengths and strengths[place] or 1, 0)
  end
  while first <= last do
    local key, weight, hops = queue[first].key, queue[first].weight, queue[first].hops
    queue[first] = nil
    first = first + 1
    if not expanded[key] or expanded[key] < weight then
      expanded[key] = weight
      if hops < depth then
        if leave then
          leave(key, weight, hops)
        end
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
  if not strengths then
    for _, seed in ipairs(seeds) do
      found[seed] = nil
    end
  end
  return found
end
