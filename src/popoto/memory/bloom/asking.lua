-- memory/bloom/asking.lua: which questions a filter answers with "maybe".
--
-- KEYS   filter, note (the mark of one in version 1)
-- ARGV   prefix (not used), area, bits, probes, mark-one, mark-two,
--        per question: item count, then (item places...) ...
-- Reply  {1, 0 or 1, ...}, 1 where any item of the question may be there; {0, what is there instead}
-- Cost   O(items * probes), without those after the first hit of a question

local area, bits, probes = ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0

local function may_be_there(index, version)
  local words = {}
  for _, place in ipairs(places_at(index, version, bits, probes)) do
    local size = #words
    words[size + 1], words[size + 2], words[size + 3] = 'GET', 'u1', place
  end
  for _, bit in ipairs(redis.call('BITFIELD_RO', KEYS[1], unpack(words))) do
    if bit == 0 then
      return false
    end
  end
  return true
end

local version, found = filter_version(KEYS[1], KEYS[2], area, ARGV[5], ARGV[6])
if not version then
  return {0, found}
end
local replies = {1}
local at = 7
while ARGV[at] do
  local last = at + ARGV[at] * (probes + 1)
  local reply = 0
  if version > 0 then
    for index = at + 1, last, probes + 1 do
      if may_be_there(index, version) then
        reply = 1
        break
      end
    end
  end
  replies[#replies + 1] = reply
  at = last + 1
end
return replies
