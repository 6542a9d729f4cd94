-- commit/records.lua: the guards on records. Each reads its arguments from `first` to `last` and
-- refuses what does not hold.

-- By key what succeeds on it, as guards and looks have found; true where its type does not matter.
local seen = {}

-- Whether of many records none exists, has left another note or is listed, at a glance.
local function make_many()
  local function all_absent(values, class_set, first, last)
    local _, there = existing(first + 1, last, 4)
    if there > 0 then
      return false
    end
    local members = {}
    for index = first + 2, last, 4 do
      members[#members + 1] = ARGV[index]
    end
    local notes, is_other = {}, false
    if values then
      notes, is_other = reading(false, 'HMGET', values, unpack(members))
    end
    if not notes or is_other then
      return false
    end
    local listed = class_set and reading(false, 'SMISMEMBER', class_set, unpack(members)) or {}
    for position = 1, #members do
      if (notes[position] or '') ~= ARGV[first - 1 + 4 * position] or listed[position] == 1 then
        return false
      end
    end
    return true
  end

  return {all_absent = all_absent}
end

-- values class-set, then (number key member note) ...
local function absent(first, last)
  local values, class_set = key_at(first), key_at(first + 1)
  local is_fine = last - first > 5 and make_many().all_absent(values, class_set, first + 2, last)
  for at = first + 2, last, 4 do
    local key, member = key_at(at + 1), ARGV[at + 2]
    if not is_fine then
      local note, is_other
      if values then
        note, is_other = reading(false, 'HGET', values, member)
      end
      note = note or ''
      if is_other then
        make_refusing().refuse(ARGV[at] + 0, 'type', {values, call('TYPE', values).ok, 'hash'})
      elseif call('EXISTS', key) == 1 then
        make_refusing().refuse_with_hash(ARGV[at] + 0, 'absent', key)
      elseif note ~= ARGV[at + 3] then
        make_refusing().refuse(ARGV[at] + 0, 'note', {key, note})
      elseif class_set and reading(false, 'SISMEMBER', class_set, member) == 1 then
        make_refusing().refuse(ARGV[at] + 0, 'orphan', {key})
      end
    end
    seen[key] = 'HLEN'
  end
end

-- (number key) ...
local function exists(first, last)
  for at = first, last, 2 do
    local key = key_at(at + 1)
    local size, is_other = reading(false, 'HLEN', key)
    if is_other then
      make_refusing().refuse(ARGV[at] + 0, 'type', {key, call('TYPE', key).ok, 'hash'})
    elseif size == 0 then
      make_refusing().refuse(ARGV[at] + 0, 'exists', {key})
    end
    seen[key] = 'HLEN'
  end
end

-- field-count fields..., then (number key bytes...) ...
-- A record that is gone would hold everything that is expected to be missing: unless one of
-- the fields was there, the key is looked for.
local function holds(first, last)
  local count = ARGV[first] + 0
  for at = first + count + 1, last, count + 2 do
    local key, same, present = key_at(at + 1), true, false
    local values, is_other = {}, false
    if count > 0 then
      values, is_other = reading(false, 'HMGET', key, unpack(ARGV, first + 1, first + count))
      seen[key] = 'HLEN'
    end
    values = values or {}
    for position = 1, count do
      local value = values[position]
      same = same and (value or '') == ARGV[at + 1 + position]
      present = present or value
    end
    if not present and call('EXISTS', key) == 0 then
      make_refusing().refuse(ARGV[at] + 0, 'exists', {key})
    elseif not same or is_other then
      make_refusing().refuse_with_hash(ARGV[at] + 0, 'holds', key)
    end
  end
end
