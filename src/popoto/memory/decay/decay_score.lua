-- memory/decay/decay_score.lua: the scores of a whole index, as `DECAY_SCORE_LUA` of popoto 1.6
-- answers. Queries use top.lua, which looks at no more than it has to.
--
-- KEYS   sorted set of record keys by the moment of the last touch
-- ARGV   now, decay rate, how many, base field or ""
-- Reply  {key, score, ...} from the highest score down, 14 digits
-- Cost   O(members)

local now, rate, count = ARGV[1] + 0, ARGV[2] + 0, math.floor(ARGV[3] + 0)
local found = {}
local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for index = 1, #members, 2 do
  local base = ARGV[4] ~= '' and base_of(redis.call('HGET', members[index], ARGV[4])) or 1
  local score = product(base, factor_of(members[index + 1], now, rate))
  found[#found + 1] = {member = members[index], score = score}
end
return best_of(found, count)
