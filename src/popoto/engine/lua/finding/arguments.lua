-- finding/arguments.lua: what the parts of query.lua are given where they answer for a guard of
-- commit.lua. The guard sets what its arguments name before it reads the tree.

local CHUNK = 1000
-- So many members stand for all of an index, where something is to be known of it.
local SAMPLES = 16
local INFINITE = math.huge
local clock = {0, 0}
local CLASS, REGISTRY, NOTES
local first_of_tree = 0
