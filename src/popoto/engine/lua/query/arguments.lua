-- query/arguments.lua: what query.lua is given, by the names that all its parts use.

-- A text in arithmetic is a number.
local prefix = ARGV[1]
local mode = ARGV[2]
local offset = ARGV[3] + 0
local limit = ARGV[4] + 0
local page = ARGV[5] + 0
local trust = ARGV[6] + 0
local order = ARGV[7]
local order_key = KEYS[ARGV[8] + 0]
local exact_to = ARGV[9] + 0
-- Whether records may have no place in the ordering sorted set: as many as it has members may be
-- others than these then.
local may_lack = order == 'nulls_first' or order == 'nulls_last'
local reverse = ARGV[10] == '1'
local field_count = ARGV[11] + 0
local first_field = 12
local list_count = ARGV[first_field + field_count] + 0
local first_list = first_field + field_count + 1
local first_of_tree = first_list + list_count

local call = redis.call
-- Seconds and microseconds.
local clock = call('TIME')
local CLASS, REGISTRY, NOTES = KEYS[1], KEYS[2], KEYS[3]
local CHUNK = 1000
-- So many members stand for all of an index, where something is to be known of it.
local SAMPLES = 16
local INFINITE = math.huge

-- The last match is the first one in the opposite order, ties included.
local ties_reversed = offset == -1
if ties_reversed then
  offset, limit, reverse = 0, 1, not reverse
end
local wanted = limit < 0 and INFINITE or offset + limit
