-- query/counting.lua: how many records match.
--
-- The size of one index is the number of its records unless some are missing. Noted expiries are
-- known: none may be due. What nothing notes (a record deleted by hand; an expiry set by hand, or
-- by popoto 1.6) shows in the records alone. So of a small index every record is looked for, and of
-- a larger one some: if one of these is gone, or may go without a note, all are looked for after
-- all. An index that lacks few of its many records may be counted with them, until a query meets
-- them and clears them away.

local function make_counting()
  -- Indexes up to this size are always counted by their records.
  local small = 128

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
    local is_one_index = root.is.sample and not due[1]
    if is_one_index and size(root) > small and are_lasting(root.is.sample(root)) then
      return size(root)
    end
    return #alive(find(root))
  end

  return {count = count}
end
