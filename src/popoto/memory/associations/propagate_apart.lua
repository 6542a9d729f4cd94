-- memory/associations/propagate_apart.lua: what activation reaches in one of several shards, and where
-- it goes on in others: at keys that are no records, whose edges are in the shards of those they lead to.
--
-- KEYS   the edges of each seed
-- ARGV   prefix, what keys of edges begin with, depth, decay per hop, threshold, how many edges of
--        one key count, what keys of records begin with, how many separators these have,
--        seed, what it begins with, ...
-- Reply  {{key, activation, ...}, {key, activation, hops, ...}}: what is reached, perhaps seeds; and
--        keys of no records that activation goes on from
-- Cost   O(edges within reach)

local head, separators = ARGV[7], ARGV[8] + 0
local seeds, strengths = {}, {}
for place = 9, #ARGV, 2 do
  seeds[#seeds + 1] = ARGV[place]
  strengths[#strengths + 1] = ARGV[place + 1] + 0
end

local left = {}
local function leave(key, weight, hops)
  local _, count = string.gsub(key, ':', '')
  if hops > 0 and (count ~= separators or string.sub(key, 1, #head) ~= head) then
    left[#left + 1] = key
    left[#left + 1] = string.format('%.17g', weight)
    left[#left + 1] = hops
  end
end

local found = spread_from(
  seeds, ARGV[1] .. ARGV[2], ARGV[3] + 0, ARGV[4] + 0, ARGV[5] + 0, ARGV[6] + 0, strengths, leave
)

local reached = {}
for key, activation in pairs(found) do
  reached[#reached + 1] = key
  reached[#reached + 1] = string.format('%.17g', activation)
end
return {reached, left}
