-- memory/decay/formula.lua: the decay formula, as in formula.py.

local SECONDS_PER_DAY, SHORTEST = 86400, 0.01

-- What the base of a record that was touched at a moment is multiplied by. Moments may be texts.
local function factor_of(touched, now, rate)
  local days = (now - tonumber(touched)) / SECONDS_PER_DAY
  if not (days > SHORTEST) then
    days = SHORTEST
  end
  return days ^ -rate
end

-- Nothing times infinity is nothing.
local function product(base, factor)
  local score = base * factor
  return score == score and score or 0
end

-- What stored bytes are as a base: numbers are themselves, all else counts 1.
local function base_of(bytes)
  local decoded, value = pcall(cmsgpack.unpack, bytes or '')
  if decoded and type(value) == 'table' and value.__Decimal__ then
    value = type(value.as_encodable) == 'string' and tonumber(value.as_encodable)
  end
  if not decoded or type(value) ~= 'number' or value - value ~= 0 then
    return 1
  end
  return value
end

-- Higher scores come first, and of equal ones the lesser key.
local function comes_before(one, other)
  if one.score ~= other.score then
    return one.score > other.score
  end
  return one.member < other.member
end

-- The best of all, as {key, score, ...}.
local function best_of(found, count)
  table.sort(found, comes_before)
  local reply = {}
  for place = 1, math.min(count, #found) do
    reply[#reply + 1] = found[place].member
    reply[#reply + 1] = tostring(found[place].score)
  end
  return reply
end
