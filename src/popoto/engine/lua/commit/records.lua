-- commit/records.lua: the guards on records. Each reads its arguments from `first` to `last` and
-- refuses what does not hold.

-- Keys that a guard has found to be what a record's commands need.
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
    local notes = values and call('HMGET', values, unpack(members)) or {}
    local listed = class_set and held('SMISMEMBER', class_set, unpack(members)) or {}
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
    local key, member, note = key_at(at + 1), ARGV[at + 2], nil
    if not is_fine then
      note = values and call('HGET', values, member) or ''
      if call('EXISTS', key) == 1 then
        make_refusing().refuse_with_hash(ARGV[at] + 0, 'absent', key)
      elseif note ~= ARGV[at + 3] then
        make_refusing().refuse(ARGV[at] + 0, 'note', {key, note})
      elseif class_set and held('SISMEMBER', class_set, member) == 1 then
        make_refusing().refuse(ARGV[at] + 0, 'orphan', {key})
      end
    end
    seen[key] = true
  end
end

-- (number key) ...
local function exists(first, last)
  if last - first > 1 then
    local keys, there = existing(first + 1, last, 2)
    if there == #keys then
      return
    end
  end
  for at = first, last, 2 do
    local key = key_at(at + 1)
    if call('EXISTS', key) == 0 then
      make_refusing().refuse(ARGV[at] + 0, 'exists', {key})
    end
  end
end

-- field-count fields..., then (number key bytes...) ...
-- A record that is gone would hold everything that is expected to be missing: unless one of
-- the fields was there, the key is looked for.
local function holds(first, last)
  local count = ARGV[first] + 0
  for at = first + count + 1, last, count + 2 do
    local key, same, present = key_at(at + 1), true, false
    local values = count > 0 and held('HMGET', key, unpack(ARGV, first + 1, first + count)) or {}
    for position = 1, count do
      local value = values[position]
      same = same and (value or '') == ARGV[at + 1 + position]
      present = present or value
    end
    if not present and call('EXISTS', key) == 0 then
      make_refusing().refuse(ARGV[at] + 0, 'exists', {key})
    elseif not same then
      make_refusing().refuse_with_hash(ARGV[at] + 0, 'holds', key)
    end
    seen[key] = count > 0
  end
end
