-- memory/associations/propagate.lua: what activation reaches that spreads from seeds (spreading.lua).
--
-- KEYS   the edges of each seed (those of others are found on the way, in the same shard)
-- ARGV   prefix, what keys of edges begin with, depth, decay per hop, threshold, how many edges of
--        one key count, seeds...
-- Reply  {key, activation, ...} without the seeds, in no order
-- Cost   O(edges within reach)

local seeds = {}
for place = 7, #ARGV do
  seeds[place - 6] = ARGV[place]
end
local found = spread_from(seeds, ARGV[1] .. ARGV[2], ARGV[3] + 0, ARGV[4] + 0, ARGV[5] + 0, ARGV[6] + 0)

local reply = {}
for key, activation in pairs(found) do
  reply[#reply + 1] = key
  reply[#reply + 1] = string.format('%.17g', activation)
end
return reply
