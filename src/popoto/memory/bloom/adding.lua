-- memory/bloom/adding.lua: items enter a filter, and the one that is being made in its place.
--
-- BLOOM  filter note building builder version area bits probes mark-one mark-two,
--        then (item places...) ...
--        Set the bits of these items. A new filter is made in this version, and known by the mark of
--        it. builder: a key that says in which form `building` is made meanwhile (renewing.lua)

local function make_blooming()
  local blooming = {}
  local versions, is_noted = {}, {}

  -- What is written to a filter.
  local function look_at_filter(key)
    -- Without a word that sets, a server takes this for a question.
    return denied('BITFIELD', key, 'SET', 'u1', '0', '1') or look_at('SETRANGE', key, 'STRLEN')
  end

  -- Whether filter and the one that is being made are what the items can enter.
  local function look(key, first)
    if versions[key] then
      return nil
    end
    local note, building, builder = key_at(first), key_at(first + 1), key_at(first + 2)
    local failure = look_at_filter(key) or note and look_at('SET', note, 'STRLEN')
      or building and look_at_filter(building) or builder and unlike(builder, 'STRLEN')
    if failure then
      return failure
    end
    local one, two = ARGV[first + 7], ARGV[first + 8]
    local wanted = without_padding(ARGV[first + 3] == '1' and one or two)
    local version, found = filter_version(key, note, ARGV[first + 4] + 0, one, two)
    if not version then
      return other_form(key, found, wanted)
    end
    versions[key], is_noted[key] = version, version == 1 and found
    return look_at_building(building, builder, versions, one, two, wanted)
  end

  local function set_bits(key, version, is_new, first, last)
    local bits, probes = ARGV[first + 5] + 0, ARGV[first + 6] + 0
    if is_new and version == 2 then
      call('SETRANGE', key, ARGV[first + 4], ARGV[first + 8])
    end
    local words = {}
    for index = first + 9, last, probes + 1 do
      for _, place in ipairs(places_at(index, version, bits, probes)) do
        local size = #words
        words[size + 1], words[size + 2], words[size + 3], words[size + 4] = 'SET', 'u1', place, 1
      end
      if #words > 3000 then
        call('BITFIELD', key, unpack(words))
        words = {}
      end
    end
    if words[1] then
      call('BITFIELD', key, unpack(words))
    end
  end

  function blooming.BLOOM(key, first, last)
    local note, building = key_at(first), key_at(first + 1)
    local is_new = versions[key] == 0
    if is_new then
      versions[key] = ARGV[first + 3] + 0
    end
    set_bits(key, versions[key], is_new, first, last)
    if versions[key] == 1 and note and not is_noted[key] then
      call('SET', note, ARGV[first + 7])
      is_noted[key] = true
    end
    local version = building and versions[building]
    if version then
      set_bits(building, version, true, first, last)
      keep_building(building)
    end
    return 1
  end

  blooming.looks = {BLOOM = look}
  return blooming
end

MAKERS.BLOOM = make_blooming
