-- commit/claims.lua: who holds a unique value, or a slot of a unique composite index.

-- Members of claimed sets whose record is gone: {set, member, coverage argument, field}.
local dead_claims = {}

local claims = room(function()

-- Two different texts may share one key (None and "None", ":" and its escape).
-- They do not compete: only equal bytes, or numbers written in two ways, do.
local function competes(theirs, mine)
  if theirs == mine then
    return true
  end
  if not theirs or theirs == NULL or mine == NULL then
    return false
  end
  return not (start_of_text(theirs) and start_of_text(mine))
end

local function holder_of_claim(set, member, old, field, bytes, coverage)
  for _, other in ipairs(held('SMEMBERS', set) or {}) do
    if other ~= member and other ~= old then
      local theirs = held('HGET', prefix .. other, field)
      if theirs then
        if competes(theirs, bytes) then
          return other
        end
      elseif call('EXISTS', prefix .. other) == 0 then
        dead_claims[#dead_claims + 1] = {set, other, coverage, field}
      end
    end
  end
  return nil
end

-- Whether a record holds values that compete with these: field bytes ...
local function same_values(other, first, last)
  for index = first, last, 2 do
    if not competes(held('HGET', prefix .. other, ARGV[index]), ARGV[index + 1]) then
      return false
    end
  end
  return true
end

-- digest alternative member old field bytes ...
local function holder_of_slot(hash, first, last)
  for index = first, first + 1 do
    local other = ARGV[index] ~= '' and held('HGET', hash, ARGV[index])
    if other and other ~= ARGV[first + 2] and other ~= ARGV[first + 3]
      and same_values(other, first + 4, last) then
      return other
    end
  end
  return nil
end

-- Claims of missing records are given up before others take them.
local function release_dead()
  for _, claim in ipairs(dead_claims) do
    if call('SREM', claim[1], claim[2]) == 1 and claim[3] ~= '0' then
      count_down(KEYS[claim[3] + 0], claim[4], 1)
    end
  end
end

return {
  holder = holder_of_claim,
  slot_holder = holder_of_slot,
  same_values = same_values,
  release_dead = release_dead,
}

end)
