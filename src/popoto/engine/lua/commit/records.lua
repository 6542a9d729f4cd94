-- commit/records.lua: the guards on records. Each reads its arguments from `first` to `last` and
-- refuses what does not hold.

-- Keys that a guard has found to be what a record's commands need.
local seen = {}

local function make_records()
  local records = {}

  -- values class-set, then (number key member note) ...
  function records.absent(first, last)
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
        open('refusing').refuse_with_hash(ARGV[at] + 0, 'absent', key)
      elseif values and (notes[position] or '') ~= ARGV[at + 3] then
        open('refusing').refuse(ARGV[at] + 0, 'note', {key, notes[position] or ''})
      elseif listed[position] == 1 then
        open('refusing').refuse(ARGV[at] + 0, 'orphan', {key})
      end
      seen[key] = true
    end
  end

  -- (number key) ...
  function records.exists(first, last)
    local keys, there = existing(first + 1, last, 2)
    if there < #keys then
      for position, key in ipairs(keys) do
        if call('EXISTS', key) == 0 then
          open('refusing').refuse(ARGV[first + (position - 1) * 2] + 0, 'exists', {key})
        end
      end
    end
  end

  -- number key field bytes ...
  -- A record that is gone would hold everything that is expected to be missing: unless one of
  -- the fields was there, the key is looked for.
  function records.holds(first, last)
    local key, fields, same, present = key_at(first + 1), {}, true, false
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
      open('refusing').refuse(ARGV[first] + 0, 'exists', {key})
    elseif not same then
      open('refusing').refuse_with_hash(ARGV[first] + 0, 'holds', key)
    end
    seen[key] = fields[1] ~= nil
  end

  return records
end
