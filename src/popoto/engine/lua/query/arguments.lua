-- query/arguments.lua: what query.lua is given, by the names that all its parts use.

local prefix = ARGV[1]
local mode = ARGV[2]
local offset = tonumber(ARGV[3])
local limit = tonumber(ARGV[4])
local page = tonumber(ARGV[5])
local trust = tonumber(ARGV[6])
local order = ARGV[7]
local order_key = KEYS[tonumber(ARGV[8])]
local exact_to = tonumber(ARGV[9])
local reverse = ARGV[10] == '1'
local field_count = tonumber(ARGV[11])
local first_field = 12
local list_count = tonumber(ARGV[first_field + field_count])
local first_list = first_field + field_count + 1
local first_of_tree = first_list + list_count

local call = redis.call
local CLASS, REGISTRY, NOTES = KEYS[1], KEYS[2], KEYS[3]
local CHUNK = 1000
local INFINITE = math.huge

-- The last match is the first one in the opposite order, ties included.
local ties_reversed = offset == -1
if ties_reversed then
  offset, limit, reverse = 0, 1, not reverse
end
local wanted = limit < 0 and INFINITE or offset + limit
