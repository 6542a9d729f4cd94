-- memory/cycles/score.lua: what cycles and pressure add to a score, as in formula.py.

-- What a cycle of stored bytes is: period, amplitude, phase, declared amplitude; nil if malformed.
local function cycle_of(found)
  if type(found) ~= 'table' then
    return nil
  end
  local period, amplitude, phase = tonumber(found[1]), tonumber(found[2]), found[3] or 0
  if type(found[1]) ~= 'number' or type(found[2]) ~= 'number' or type(phase) ~= 'number' then
    return nil
  end
  return period, amplitude, phase, type(found[4]) == 'number' and found[4] or amplitude
end

local function table_of(bytes)
  if not bytes then
    return {}
  end
  local decoded, found = pcall(cmsgpack.unpack, bytes)
  return decoded and type(found) == 'table' and found or {}
end

local function resonance_of(bytes, now)
  local sum = 0
  for _, found in ipairs(table_of(bytes)) do
    local period, amplitude, phase = cycle_of(found)
    if period and period > 0 then
      sum = sum + amplitude * math.cos(2 * math.pi * (now - phase) / period)
    end
  end
  return sum == sum and sum or 0
end

-- rate and the moment of the last release; nil where there is nothing to read.
local function tension_of(bytes)
  local found = table_of(bytes)
  local rate, resolved = found.rate or found[1], found.last_resolved or found[2]
  if type(rate) ~= 'number' then
    return nil
  end
  return rate, type(resolved) == 'number' and resolved or nil
end

local function pressure_of(bytes, now)
  local rate, resolved = tension_of(bytes)
  if not rate or not (rate > 0) or not resolved then
    return 0
  end
  local sum = rate * math.max((now - resolved) / 86400, 0)
  return sum == sum and sum or 0
end
