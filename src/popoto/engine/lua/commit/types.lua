-- commit/types.lua: a write that meets a key of the wrong type would stop half-way, and nothing
-- rolls back: so look before the first one.

-- What a command needs its key to be. Others stop the script by themselves, if at all.
local KINDS = {
  SADD = 'set', SREM = 'set',
  ZADD = 'zset', ZREM = 'zset', GEOADD = 'zset',
  HSET = 'hash', HSETNX = 'hash', HDEL = 'hash', HDELIF = 'hash', SLOT = 'hash',
  RPUSH = 'list', LPUSH = 'list',
  XADD = 'stream',
}

-- Commands that succeed on keys of their own type alone: cheaper than asking for the type.
local SIZES = {set = 'SCARD', zset = 'ZCARD', hash = 'HLEN', list = 'LLEN', stream = 'XLEN'}

local function unlike(key, expected)
  if seen[key] then
    return nil
  end
  seen[key] = true
  if held(SIZES[expected], key) then
    return nil
  end
  local kind = call('TYPE', key).ok
  return kind ~= 'none' and kind ~= expected and refusal(0, 'type', {key, kind, expected}) or nil
end

-- values-key, then coverage field (set member text has-text) ...
local function look_at_entries(values, first, last)
  local _, there = nil, 1
  if last - first > 6 then
    _, there = existing(first + 2, last, 4)
  end
  if there > 0 then
    for index = first + 2, last, 4 do
      local failure = unlike(key_at(index), 'set')
      if failure then
        return failure
      end
    end
  end
  return unlike(values, 'zset') or unlike(key_at(first), 'hash')
end

-- Its record is known to be a hash; what else it writes is the sorted index.
local function look_at_sum(_, first, last)
  return last > first + 2 and unlike(key_at(first + 3), 'zset') or nil
end

-- What stands there goes away, whatever it is.
local function need_not_look(key)
  seen[key] = true
end

-- Commands that write more than one key, or none that has to be of a type.
local looks = {
  ENTER = look_at_entries, LEAVE = look_at_entries, ADD = look_at_sum,
  DEL = need_not_look, MOVE = need_not_look,
}

-- What is wrong with the keys of one command, or nil. The hash of the record comes first
-- and stops the script by itself.
local function wrong_type(position, name, key, first, last)
  local kind = KINDS[name]
  if kind then
    return key and not seen[key] and (kind ~= 'hash' or position > 1) and unlike(key, kind) or nil
  end
  local look = looks[name]
  return look and look(key, first, last) or nil
end
