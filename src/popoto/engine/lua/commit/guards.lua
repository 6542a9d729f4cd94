-- commit/guards.lua: the guards by name. Each reads its arguments from `first` to `last` and
-- refuses what does not hold. What they take is listed in commit.lua.

-- Keys that a guard has found to be what a record's commands need.
local seen = {}

-- values class-set, then number key member note ...
local function absent(first, last)
  local values, class_set = key_at(first), key_at(first + 1)
  first = first + 2
  local keys, there = existing(first + 1, last, 4)
  local members, notes, listed = {}, {}, {}
  for index = first + 2, last, 4 do
    members[#members + 1] = ARGV[index]
  end
  if values then
    notes = call('HMGET', values, unpack(members))
  end
  if class_set then
    listed = held('SMISMEMBER', class_set, unpack(members)) or {}
  end
  for position, key in ipairs(keys) do
    local at = first + (position - 1) * 4
    if there > 0 and call('EXISTS', key) == 1 then
      refuse_with_hash(ARGV[at] + 0, 'absent', key)
    elseif values and (notes[position] or '') ~= ARGV[at + 3] then
      refuse(ARGV[at] + 0, 'note', {key, notes[position] or ''})
    elseif listed[position] == 1 then
      refuse(ARGV[at] + 0, 'orphan', {key})
    end
    seen[key] = true
  end
end

-- number key ...
local function exists(first, last)
  local keys, there = existing(first + 1, last, 2)
  if there < #keys then
    for position, key in ipairs(keys) do
      if call('EXISTS', key) == 0 then
        refuse(ARGV[first + (position - 1) * 2] + 0, 'exists', {key})
      end
    end
  end
end

-- number key field bytes ...
-- A record that is gone would hold everything that is expected to be missing: unless one of
-- the fields was there, the key is looked for.
local function holds(first, last)
  local number, key = ARGV[first] + 0, key_at(first + 1)
  local fields, same, present = {}, true, false
  for index = first + 2, last, 2 do
    fields[#fields + 1] = ARGV[index]
  end
  local values = fields[1] and held('HMGET', key, unpack(fields)) or {}
  for position = 1, #fields do
    local value = values[position]
    same = same and (value or '') == ARGV[first + 1 + 2 * position]
    present = present or value
  end
  if not present and call('EXISTS', key) == 0 then
    refuse(number, 'exists', {key})
  elseif not same then
    refuse_with_hash(number, 'holds', key)
  end
  seen[key] = fields[1] ~= nil
end

-- field coverage, then number set member old bytes ...
local function claim(first, last)
  local field, coverage = ARGV[first], ARGV[first + 1]
  first = first + 2
  if last - first > 4 then
    local _, there = existing(first + 1, last, 5)
    if there == 0 then
      return
    end
  end
  for at = first, last, 5 do
    local holder = claims().holder(
      key_at(at + 1), ARGV[at + 2], ARGV[at + 3], field, ARGV[at + 4], coverage)
    if holder then
      refuse(ARGV[at] + 0, 'claim', {holder})
    end
  end
end

-- number hash digest alternative member old field bytes ...
local function slot(first, last)
  local holder = claims().slot_holder(key_at(first + 1), first + 2, last)
  if holder then
    refuse(ARGV[first] + 0, 'slot', {holder})
  end
end

-- number key field delta kind
local function addable(first)
  local number, key = ARGV[first] + 0, key_at(first + 1)
  if call('EXISTS', key) == 0 then
    refuse(number, 'exists', {key})
  elseif not sums().of(call('HGET', key, ARGV[first + 2]), ARGV[first + 3], ARGV[first + 4]) then
    refuse_with_hash(number, 'addable', key)
  end
end

local guards = {
  absent = absent, exists = exists, holds = holds, claim = claim, slot = slot, addable = addable,
}
