-- query/counting.lua: how many records match.
--
-- The size of one index is the number of its records unless some are missing. Noted expiries are
-- known: none may be due. What nothing notes (a record deleted by hand; an expiry set by hand, or
-- by popoto 1.6) shows in the records alone. So of a small index every record is looked for, and of
-- a larger one some: if one of these is gone, or may go without a note, all are looked for after
-- all. An index in which few of many records are missing may be counted with them, until a query
-- meets them and clears them away.

local function make_counting()
  -- Indexes up to this size are always counted by their records.
  local SMALL = 128
  -- So many records are looked at of a larger one.
  local SAMPLES = 16

  -- Members of a sorted set's range at even distances, from a place that changes with the time.
  local function sample_of_range(node, count)
    local before = 0
    if node.low ~= -INFINITE then
      local below = node.low_open and string.sub(node.min, 2) or '(' .. node.min
      before = call('ZCOUNT', node.key, '-inf', below)
    end
    local sample, step = {}, count / SAMPLES
    local start = before + call('TIME')[2] % 1000 / 1000 * step
    for index = 0, SAMPLES - 1 do
      local rank = math.floor(start + index * step)
      sample[#sample + 1] = call('ZRANGE', node.key, rank, rank)[1]
    end
    return sample
  end

  local samplers = {range = sample_of_range}

  function samplers.all()
    return call('SRANDMEMBER', CLASS, SAMPLES)
  end

  function samplers.set(node)
    return call('SRANDMEMBER', node.key, SAMPLES)
  end

  -- Whether these records all exist, and none will go without a note.
  local function are_lasting(sample)
    for _, key in ipairs(sample) do
      local remaining = call('PTTL', prefix .. key)
      if remaining == -2 or (remaining ~= -1 and not call('ZSCORE', REGISTRY, key)) then
        return false
      end
    end
    return true
  end

  local function count(root, due)
    local sampler = samplers[root.kind]
    if sampler and not due[1] then
      local entries = size(root)
      if entries > SMALL and are_lasting(sampler(root, entries)) then
        return entries
      end
    end
    return #alive(find(root))
  end

  return {count = count}
end
