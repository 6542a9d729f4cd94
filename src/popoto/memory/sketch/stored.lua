-- memory/sketch/stored.lua: what is stored as a sketch, and which counters an item has.
-- The formula is in formula.py. Scripts have `reading` from shared/foreseeing.lua, or from asking.lua.

-- The version of the sketch under a key, 0 where there is none; nil, and what is there instead, where
-- it was made in another form. One without a mark is of popoto 1.6.
local function sketch_version(key, mark_one, mark_two)
  local size, is_other = reading(false, 'HLEN', key)
  if is_other then
    return nil, 'a ' .. redis.call('TYPE', key).ok
  elseif not size or size == 0 then
    return 0
  end
  local mark = reading(false, 'HGET', key, 'form')
  if mark == mark_two then
    return 2
  elseif not mark or mark == mark_one then
    return 1
  end
  return nil, without_padding(mark)
end

-- The names of the counters of the item that stands at `index` of ARGV, followed by those in version 2.
local function counters_at(index, version, width, depth)
  if version == 2 then
    return {unpack(ARGV, index + 1, index + depth)}
  end
  local names, item = {}, ARGV[index]
  for row = 0, depth - 1 do
    local column = hash_of_1_6(item, 5381 + 16777619 * row, 33) % width
    names[row + 1] = row .. ':' .. string.format('%.0f', column)
  end
  return names
end
