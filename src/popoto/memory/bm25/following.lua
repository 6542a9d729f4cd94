-- memory/bm25/following.lua: what has changed in postings since somebody last looked.
--
-- KEYS   log of changes (indexing.lua), then keys of postings
-- ARGV   prefix (not used), then for each key the version that is known of it, and who that belongs to
-- Reply  {born, version, who it belongs to, {member, ...}, {scores by member} per key}; instead of
--        scores nil where the log does not tell all that is new, or has lost what was known.
--        {} where there is no log
-- Cost   O(changes * keys), of at most some 1,000 changes

local call, log = redis.call, KEYS[1]
local newest = call('ZRANGE', log, -1, -1, 'WITHSCORES')
if not newest[1] then
  return {}
end
local born, floor = call('ZSCORE', log, ':born'), call('ZSCORE', log, ':floor')
local since = newest[2]
for place = 2, #KEYS do
  since = math.min(since, ARGV[2 * place - 2])
end
local members = call('ZRANGEBYSCORE', log, '(' .. string.format('%.17g', since), '+inf')
local scores = {}
for place = 2, #KEYS do
  local known, last = ARGV[2 * place - 2] + 0, call('ZSCORE', log, ARGV[2 * place - 1])
  local is_told = floor + 0 <= known and last and last + 0 >= known
  scores[place - 1] = is_told and (members[1] and call('ZMSCORE', KEYS[place], unpack(members)) or {})
end
return {born, newest[2], newest[1], members, scores}
