-- commit/arguments.lua: what commit.lua is given, by the names that all its parts use.

local prefix, mode = ARGV[1], ARGV[2]
local call = redis.call

-- Whether all failed guards are wanted, not just the first.
local wants_every = mode == 'every' or mode == 'many'

-- The key that an argument names by its position; nil for 0. A text in arithmetic is a number.
local function key_at(index)
  return KEYS[ARGV[index] + 0]
end
