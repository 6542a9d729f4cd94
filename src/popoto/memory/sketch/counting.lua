-- memory/sketch/counting.lua: items are counted in a sketch, and in the one that is being made in its
-- place.
--
-- COUNT  sketch building builder version width depth mark-one mark-two, then (item counters...) ...
--        Add 1 to the counters of these items. A new sketch is made in this version. builder: a key
--        that says in which form `building` is made meanwhile (renewing.lua)

local function make_counting()
  local counting = {}
  local versions = {}

  -- What is read and written of a sketch.
  local function look_at_sketch(key)
    return look_at('HSET', key, 'HLEN') or denied('HMGET', key)
  end

  -- Whether sketch and the one that is being made are what the items can be counted in.
  local function look(key, first)
    if versions[key] then
      return nil
    end
    local building, builder = key_at(first), key_at(first + 1)
    local failure = look_at_sketch(key) or building and look_at_sketch(building)
      or builder and unlike(builder, 'STRLEN')
    if failure then
      return failure
    end
    local one, two = ARGV[first + 5], ARGV[first + 6]
    local wanted = without_padding(ARGV[first + 2] == '1' and one or two)
    local version, found = sketch_version(key, one, two)
    if not version then
      return other_form(key, found, wanted)
    end
    versions[key] = version
    return look_at_building(building, builder, versions, one, two, wanted)
  end

  -- Read all counters, then write all: one that holds no number must not stop this half-way.
  local function count(key, version, first, last)
    local width, depth = ARGV[first + 3] + 0, ARGV[first + 4] + 0
    local names, added = {}, {}
    for index = first + 7, last, depth + 1 do
      for _, name in ipairs(counters_at(index, version, width, depth)) do
        if not added[name] then
          names[#names + 1] = name
        end
        added[name] = (added[name] or 0) + 1
      end
    end
    local words = {'form', version == 1 and ARGV[first + 5] or ARGV[first + 6]}
    for start = 1, #names, 2000 do
      local stop = math.min(start + 1999, #names)
      for place, value in ipairs(call('HMGET', key, unpack(names, start, stop))) do
        local name = names[start + place - 1]
        words[#words + 1] = name
        words[#words + 1] = (tonumber(value or 0) or 0) + added[name]
      end
      call('HSET', key, unpack(words))
      words = {}
    end
  end

  function counting.COUNT(key, first, last)
    local building = key_at(first)
    if versions[key] == 0 then
      versions[key] = ARGV[first + 2] + 0
    end
    count(key, versions[key], first, last)
    local version = building and versions[building]
    if version then
      count(building, version, first, last)
      keep_building(building)
    end
    return 1
  end

  counting.looks = {COUNT = look}
  return counting
end

MAKERS.COUNT = make_counting
