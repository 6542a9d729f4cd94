-- memory/bloom/stored.lua: what is stored as a filter, and where version 1 has the bits of an item.
-- The formula is in formula.py. Scripts have `reading` from shared/foreseeing.lua, or from asking.lua.

-- The version of the filter under a key, 0 where there is none; nil, and what is there instead, where
-- it was made in another form. `note` is the key that has the mark of one in version 1.
local function filter_version(key, note, area, mark_one, mark_two)
  local length, is_other = reading(false, 'STRLEN', key)
  if is_other then
    return nil, 'a ' .. redis.call('TYPE', key).ok
  elseif not length or length == 0 then
    return 0
  end
  local width = #mark_two
  local tail = reading(false, 'GETRANGE', key, -width, -1) or ''
  if tail == mark_two and length == area + width then
    return 2
  elseif string.find(tail, '^popoto %d filter: ') then
    return nil, without_padding(tail)
  end
  local noted = note and reading(false, 'GET', note)
  if noted and noted ~= mark_one then
    return nil, without_padding(noted)
  elseif length > area then
    return nil, 'a filter with more bits'
  end
  return 1, noted and true or false
end

-- The places of an item in version 1.
local function places_of_1_6(item, bits, probes)
  local start = hash_of_1_6(item, 5381, 33) % bits
  local step = hash_of_1_6(item, 16777619, 16777619) % bits
  local places = {}
  for probe = 0, probes - 1 do
    places[probe + 1] = (start + probe * step) % bits
  end
  return places
end

-- The places of the item that stands at `index` of ARGV, followed by those in version 2.
local function places_at(index, version, bits, probes)
  if version == 1 then
    return places_of_1_6(ARGV[index], bits, probes)
  end
  return {unpack(ARGV, index + 1, index + probes)}
end
