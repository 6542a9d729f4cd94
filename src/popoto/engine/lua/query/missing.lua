-- query/missing.lua: records that are gone. They are left out, and told to the caller, who removes
-- the entries that they left.

-- So many dead records are reported at once: each is a small script call to the caller.
local REPORTED = 1000
-- So many that are past their time.
local SWEPT = 128

local dead, reported = {}, {}

local function report(key)
  if not reported[key] and #dead < 2 * REPORTED then
    reported[key] = true
    dead[#dead + 1] = key
    dead[#dead + 1] = call('HGET', NOTES, key) or ''
  end
end

-- The sets that texts have led to, by which dead records may have been met.
local text_sets_met = {}

-- Where these have dead records, as (set, record key) ... : as many steps as it took to find them.
local function sets_of_dead()
  local stood = {}
  if #dead == 0 then
    return stood
  end
  for _, set in ipairs(text_sets_met) do
    local logical = string.sub(set, #prefix + 1)
    for _, key in ipairs(call('SMEMBERS', set)) do
      if reported[key] then
        stood[#stood + 1] = logical
        stood[#stood + 1] = key
      end
    end
  end
  return stood
end

-- What the hash of a record holds in a field. A record that is gone is reported.
local function field_of(key, field)
  local bytes = call('HGET', prefix .. key, field)
  if not bytes and call('EXISTS', prefix .. key) == 0 then
    report(key)
  end
  return bytes
end

-- The records of a list that exist.
local function alive(list)
  local living = true
  in_chunks(list, function(first, last)
    local keys = {}
    for index = first, last do
      keys[#keys + 1] = prefix .. list[index]
    end
    if call('EXISTS', unpack(keys)) ~= #keys then
      living = false
    end
  end)
  if living then
    return list
  end
  return where(list, function(key)
    if call('EXISTS', prefix .. key) == 1 then
      return true
    end
    report(key)
    return false
  end)
end

-- Noted records whose time has passed, each followed by what its entries were made of.
local function expired()
  local due = {}
  local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
  for _, key in ipairs(call('ZRANGEBYSCORE', REGISTRY, '-inf', now, 'LIMIT', 0, SWEPT)) do
    due[#due + 1] = key
    due[#due + 1] = call('HGET', NOTES, key) or ''
  end
  return due
end
