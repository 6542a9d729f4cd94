-- memory/renewing.lua: what follows from all records of a model is made anew beside its writers.
--
-- While a builder's note stands, writers write to the old one and to the one that is being made; at
-- the end this takes the place of the old one in one step. The note begins with the mark of the
-- form and ends with a word of its owner's. A rebuild that was killed leaves a note and a building
-- that expire.
--
-- guard   renewing  number builder note     the note is still that of this rebuild
-- RENEW   key building builder note mark measure    the building takes the place of the key. note: the key
--         (0: none) that has the mark of a filter in version 1, "" for one in version 2. measure:
--         the command that tells the size of such a key

-- The version in which a building is made, 0 for none; nil, and what it is, for another form.
local function version_of_building(builder, mark_one, mark_two)
  local note = builder and reading(false, 'GET', builder)
  if not note then
    return 0
  end
  local mark = string.sub(note, 1, #mark_two)
  local version = mark == mark_one and 1 or mark == mark_two and 2 or nil
  return version, not version and without_padding(mark)
end

-- Which buildings a writer of this call has to give an end, since he is the first to write to them.
local endless = {}

-- The look at a key whose words are of another form than those that are wanted.
local function other_form(key, found, wanted)
  return make_refusing().refusal(0, 'form', {key, found, wanted})
end

-- The look at a building, if there is one: its version, and what is written beside the words.
local function look_at_building(building, builder, versions, mark_one, mark_two, wanted)
  local version, found = version_of_building(builder, mark_one, mark_two)
  if not version then
    return other_form(building, found, wanted)
  elseif version == 0 then
    return nil
  end
  versions[building] = version
  endless[building] = (reading(false, 'TTL', building) or 0) < 0
  return denied('EXPIRE', building)
end

local function keep_building(building)
  if endless[building] then
    call('EXPIRE', building, 3600)
    endless[building] = false
  end
end

local function make_renewing()
  local renewing = {}

  function renewing.renewing(first)
    local builder = key_at(first + 1)
    if reading(false, 'GET', builder) ~= ARGV[first + 2] then
      make_refusing().refuse(ARGV[first] + 0, 'renewing', {builder})
    end
  end

  function renewing.RENEW(key, first)
    local building, builder, note = key_at(first), key_at(first + 1), key_at(first + 2)
    local is_made = call('EXISTS', building) == 1
    if is_made then
      call('RENAME', building, key)
      call('PERSIST', key)
    else
      call('DEL', key)
    end
    if note and is_made and ARGV[first + 3] ~= '' then
      call('SET', note, ARGV[first + 3])
    elseif note then
      call('DEL', note)
    end
    call('DEL', builder)
    return is_made and 1 or 0
  end

  renewing.looks = {RENEW = function(key, first)
    local building, builder, note = key_at(first), key_at(first + 1), key_at(first + 2)
    return unlike(key, ARGV[first + 4]) or unlike(building, ARGV[first + 4])
      or note and (look_at('SET', note, 'STRLEN') or denied('DEL', note))
      or denied('EXISTS', building) or denied('RENAME', building, key) or denied('PERSIST', key)
      or denied('DEL', key) or denied('DEL', builder)
  end}

  return renewing
end

MAKERS.renewing, MAKERS.RENEW = make_renewing, make_renewing
