-- commit/sums.lua: adding to a stored number, where the server's doubles can.

local sums = room(function()

local EXACT = 9007199254740992

-- The sum of a stored number and a delta, or nil where doubles cannot tell it exactly.
-- Beyond 2^53, for Decimals and for damaged bytes the client computes it.
local function sum_of(bytes, delta, kind)
  local value = 0
  if bytes and bytes ~= NULL then
    local decoded, found = pcall(cmsgpack.unpack, bytes)
    if not decoded or type(found) ~= 'number' then
      return nil
    end
    value = found
  end
  local sum = value + tonumber(delta)
  if kind == 'int' then
    -- 2^53 itself may be the rounded 2^53 + 1.
    local exact = value % 1 == 0 and math.abs(value) < EXACT and math.abs(sum) < EXACT
    return exact and sum or nil
  end
  return sum - sum == 0 and sum or nil
end

local function stored_number(sum, kind)
  return kind == 'int' and cmsgpack.pack(sum) or '\203' .. struct.pack('>d', sum)
end

return {of = sum_of, stored = stored_number}

end)
