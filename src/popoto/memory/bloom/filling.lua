-- memory/bloom/filling.lua: how many bits of a filter are set.
--
-- KEYS   filter, note (the mark of one in version 1)
-- ARGV   prefix (not used), area, mark-one, mark-two
-- Reply  {1, bits that are set}; {0, what is there instead}
-- Cost   O(bits)

local version, found = filter_version(KEYS[1], KEYS[2], ARGV[2] + 0, ARGV[3], ARGV[4])
if not version then
  return {0, found}
end
return {1, redis.call('BITCOUNT', KEYS[1], 0, ARGV[2] - 1)}
