-- commit/types.lua: a write that meets a key of the wrong type would stop half-way, and nothing
-- rolls back: so look before the first one.

-- What succeeds on keys of the type alone that a command needs: cheaper than asking for the type.
-- Commands that are not listed here stop the script by themselves, if at all.
local SIZES = {
  SADD = 'SCARD', SREM = 'SCARD',
  ZADD = 'ZCARD', ZREM = 'ZCARD', GEOADD = 'ZCARD',
  HSET = 'HLEN', HSETNX = 'HLEN', HDEL = 'HLEN', HDELIF = 'HLEN', SLOT = 'HLEN',
  RPUSH = 'LLEN', LPUSH = 'LLEN', XADD = 'XLEN',
}

local function unlike(key, measure)
  if seen[key] then
    return nil
  end
  seen[key] = true
  if type(redis.pcall(measure, key)) == 'number' then
    return nil
  end
  local kinds = {SCARD = 'set', ZCARD = 'zset', HLEN = 'hash', LLEN = 'list', XLEN = 'stream',
    STRLEN = 'string'}
  local kind, expected = call('TYPE', key).ok, kinds[measure]
  return kind ~= 'none' and kind ~= expected
    and make_refusing().refusal(0, 'type', {key, kind, expected}) or nil
end

-- values, then coverage field (set member text has-text) ...
local function look_at_entries(values, first, last)
  local failure = unlike(values, 'ZCARD') or unlike(key_at(first), 'HLEN')
  if failure then
    return failure
  end
  if last - first > 5 then
    local _, there = existing(first + 2, last, 4)
    if there == 0 then
      return nil
    end
  end
  for index = first + 2, last, 4 do
    failure = failure or unlike(key_at(index), 'SCARD')
  end
  return failure
end

-- Its record is known to be a hash; what else ADD writes is the sorted index.
local function look_at_sum(_, first, last)
  return last > first + 2 and unlike(key_at(first + 3), 'ZCARD') or nil
end

-- layout member target name
local function look_at_both(key, first)
  local measure = ARGV[first] == 'hash' and 'HLEN' or 'ZCARD'
  return unlike(key, measure) or unlike(key_at(first + 2), measure)
end

-- What stands there goes away, whatever it is.
local function need_not_look(key)
  seen[key] = true
end

-- Commands of our own that write more than one key, and those to which any type is right.
local LOOKS = {
  ENTER = look_at_entries, LEAVE = look_at_entries, ADD = look_at_sum,
  CARRY = look_at_both,
  DEL = need_not_look, MOVE = need_not_look,
}
