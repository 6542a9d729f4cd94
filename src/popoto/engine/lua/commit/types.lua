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
  if held(measure, key) then
    return nil
  end
  local kinds = {SCARD = 'set', ZCARD = 'zset', HLEN = 'hash', LLEN = 'list', XLEN = 'stream'}
  local kind, expected = call('TYPE', key).ok, kinds[measure]
  return kind ~= 'none' and kind ~= expected
    and open('refusing').refusal(0, 'type', {key, kind, expected}) or nil
end

-- The looks at the keys of commands that write several, or to which any type is right.
local function make_looks()
  local looks = {}

  -- values-key, then coverage field (set member text has-text) ...
  local function entries(values, first, last)
    local there = 1
    if last - first > 5 then
      local _, number = existing(first + 2, last, 4)
      there = number
    end
    if there > 0 then
      for index = first + 2, last, 4 do
        local failure = unlike(key_at(index), 'SCARD')
        if failure then
          return failure
        end
      end
    end
    return unlike(values, 'ZCARD') or unlike(key_at(first), 'HLEN')
  end

  looks.ENTER, looks.LEAVE = entries, entries

  -- Its record is known to be a hash; what else ADD writes is the sorted index.
  function looks.ADD(_, first, last)
    return last > first + 2 and unlike(key_at(first + 3), 'ZCARD') or nil
  end

  -- What stands there goes away, whatever it is.
  local function nothing(key)
    seen[key] = true
  end
  looks.DEL, looks.MOVE = nothing, nothing

  return looks
end
