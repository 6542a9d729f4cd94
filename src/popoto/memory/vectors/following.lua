-- memory/vectors/following.lua: the vectors that have changed since somebody last looked.
--
-- KEYS   note, changes, vectors   (see embedding.lua)
-- ARGV   prefix (not used), the epoch and the version that are known, how many at most
-- Reply  {{epoch, version, model, dimensions, form}, how many records, {key, version, vector, ...}},
--        oldest change first; no vector: the record has none
-- Cost   O(log n) and the answer

local note = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'model', 'dimensions', 'form')
if not note[1] then
  return {note, 0, {}}
end
local from = note[1] == ARGV[2] and '(' .. ARGV[3] or '-inf'
local page = {}
if from == '-inf' or note[2] ~= ARGV[3] then
  page = redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
end
local members, found = {}, {}
for place = 1, #page, 2 do
  members[#members + 1] = page[place]
end
local vectors = members[1] and redis.call('HMGET', KEYS[3], unpack(members)) or {}
for place, member in ipairs(members) do
  found[3 * place - 2], found[3 * place - 1] = member, page[2 * place]
  found[3 * place] = vectors[place]
end
return {note, redis.call('ZCARD', KEYS[2]), found}
