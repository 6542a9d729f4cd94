-- query/ranges.lua: the members of a sorted set by score.

local function make_range()
  local range = {}

  function range.read(node)
    node.key, node.min, node.max = take_key(), take(), take()
    node.low, node.low_open = bound(node.min)
    node.high, node.high_open = bound(node.max)
  end

  function range.size(node)
    if node.low == -INFINITE and node.high == INFINITE then
      return call('ZCARD', node.key)
    end
    return call('ZCOUNT', node.key, node.min, node.max)
  end

  function range.find(node)
    return call('ZRANGEBYSCORE', node.key, node.min, node.max)
  end

  function range.filter(node, list)
    local low, low_open, high, high_open = node.low, node.low_open, node.high, node.high_open
    return where_replied(list, 'ZMSCORE', node.key, function(reply)
      local score = reply and bound(reply)
      return score ~= nil and score ~= false
        and (score > low or (score == low and not low_open))
        and (score < high or (score == high and not high_open))
    end)
  end

  -- Members at even distances, from a random place.
  function range.sample(node)
    local before = 0
    if node.low ~= -INFINITE then
      local below = node.low_open and string.sub(node.min, 2) or '(' .. node.min
      before = call('ZCOUNT', node.key, '-inf', below)
    end
    local sample, step = {}, size(node) / SAMPLES
    local start = before + clock[2] % 1000 / 1000 * step
    for index = 0, SAMPLES - 1 do
      local rank = math.floor(start + index * step)
      sample[#sample + 1] = call('ZRANGE', node.key, rank, rank)[1]
    end
    return sample
  end

  return range
end
