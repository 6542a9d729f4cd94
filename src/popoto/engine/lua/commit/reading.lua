-- commit/reading.lua: looking at keys that may be of any type, or of none.

-- The reply of a reading command. A key of another type holds nothing: that is told before
-- anything is written, by a failed "holds" or by the look at all types (types.lua).
local function held(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    return nil
  end
  return reply
end

-- The keys that every `width`-th argument names, and how many of them exist.
local function existing(first, last, width)
  local keys = {}
  for index = first, last, width do
    keys[#keys + 1] = key_at(index)
  end
  return keys, call('EXISTS', unpack(keys))
end
