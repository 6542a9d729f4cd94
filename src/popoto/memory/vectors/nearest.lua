-- memory/vectors/nearest.lua: the vectors nearest to one, by a vector set that follows their changes.
--
-- Commits write no vector set. What has changed since somebody last searched goes in first, a few
-- vectors at a time; the set may be lost at any time, and is made anew then.
--
-- KEYS   note, changes, vectors   (see embedding.lua), set
-- ARGV   prefix (not used), the vector (float32; '': only follow), how many nearest, how many
--        changes at most
-- Reply  {{epoch, version, model, dimensions, form}, state, ...}, where the state is
--          'absent'  no vector set can be used here; why
--          'behind'  so many changes are left, and nothing was searched
--          'named'   how many vectors there are; {key, vector, ...} of the nearest, in no order
-- Cost   O(log n) for each of the nearest; about a millisecond for each change

local note_key, changes, vectors, set = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local note = redis.call('HMGET', note_key, 'epoch', 'version', 'model', 'dimensions', 'form',
  'named_epoch', 'named', 'named_size')
local told = {note[1], note[2], note[3], note[4], note[5]}
local failure

-- Commands that many servers do not have, or not everybody may use.
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    failure = failure or reply.err
    return nil
  end
  return reply
end

local function failed()
  if string.find(failure, 'WRONGTYPE', 1, true) then
    return redis.error_reply(failure)
  end
  return {told, 'absent', failure}
end

local known = try('VCARD', set)
if failure then
  return failed()
end
local dimensions = tonumber(note[4])
if not note[1] or not dimensions then
  return {told, 'named', 0, {}}
end

-- A vector of float32 goes in as it is stored. That of length 0 is near to nothing.
local size = 4 * dimensions
local nothing = string.rep('\0', size)
local function follow(member, vector)
  if vector and #vector == size and vector ~= nothing then
    try('VADD', set, 'FP32', vector, member)
  else
    try('VREM', set, member)
  end
end

local named = note[7] or '0'
local is_lost = known == 0 and tonumber(note[8] or 0) > 0
if note[6] ~= note[1] or is_lost then
  try('DEL', set)
  named = '0'
end
if named ~= note[2] then
  local page = redis.call('ZRANGEBYSCORE', changes, '(' .. named, '+inf', 'WITHSCORES',
    'LIMIT', 0, ARGV[4])
  for place = 1, #page, 2 do
    follow(page[place], redis.call('HGET', vectors, page[place]))
    named = page[place + 1]
  end
  local left = 0
  if #page == 2 * tonumber(ARGV[4]) then
    left = redis.call('ZCOUNT', changes, '(' .. named, '+inf')
  end
  if left == 0 then
    named = note[2]
  end
  local card = try('VCARD', set)
  if not failure then
    try('HSET', note_key, 'named_epoch', note[1], 'named', named, 'named_size', card)
  end
  if failure then
    return failed()
  end
  if left > 0 then
    return {told, 'behind', left}
  end
end
if #ARGV[2] ~= size then
  return {told, 'named', try('VCARD', set), {}}
end

-- Who is met and is gone leaves the set, and others take the place.
local found = {}
for _ = 1, 8 do
  local near = try('VSIM', set, 'FP32', ARGV[2], 'COUNT', ARGV[3])
  if failure then
    return failed()
  end
  local have = near[1] and redis.call('HMGET', vectors, unpack(near)) or {}
  local gone = 0
  found = {}
  for place, member in ipairs(near) do
    if have[place] then
      found[#found + 1], found[#found + 2] = member, have[place]
    else
      try('VREM', set, member)
      gone = gone + 1
    end
  end
  if gone == 0 then
    break
  end
end
return {told, 'named', redis.call('VCARD', set), found}
