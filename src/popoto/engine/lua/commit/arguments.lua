-- commit/arguments.lua: what commit.lua is given, by the names that all its parts use.

local prefix, mode = ARGV[1], ARGV[2]
local call = redis.call

-- Whether all failed guards are wanted, not just the first.
local wants_every = mode == 'every' or mode == 'many' or mode == 'check'

-- The key that an argument names by its position; nil for 0. A text in arithmetic is a number.
local function key_at(index)
  return KEYS[ARGV[index] + 0]
end

-- The keys that every `width`-th argument names, and how many of them exist.
local function existing(first, last, width)
  local keys = {}
  for index = first, last, width do
    keys[#keys + 1] = key_at(index)
  end
  return keys, call('EXISTS', unpack(keys))
end
