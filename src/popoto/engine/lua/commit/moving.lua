-- commit/moving.lua: commands of more than one key.

local function make_moving()
  local moving = {}

  function moving.MOVE(key, first)
    if call('EXISTS', key) == 0 then
      -- What an earlier record left there is not this one's.
      call('DEL', key_at(first))
      return 0
    end
    call('RENAME', key, key_at(first))
    return 1
  end

  local READS = {hash = 'HGET', zset = 'ZSCORE'}
  local REMOVES = {hash = 'HDEL', zset = 'ZREM'}

  -- What one record has in a key of many goes to another name, or to another such key.
  function moving.CARRY(key, first)
    local layout, member, target, name = ARGV[first], ARGV[first + 1], key_at(first + 2),
      ARGV[first + 3]
    local value = call(READS[layout], key, member)
    if not value then
      -- What an earlier record left there is not this one's.
      return call(REMOVES[layout], target, name)
    end
    call(REMOVES[layout], key, member)
    if layout == 'hash' then
      call('HSET', target, name, value)
    else
      call('ZADD', target, value, name)
    end
    return 1
  end

  function moving.KEYED(_, first, last)
    local kinds, words = ARGV[first + 1], {}
    for index = first + 2, last do
      local place = index - first - 1
      words[place] = string.sub(kinds, place, place) == 'k' and key_at(index) or ARGV[index]
    end
    return call(ARGV[first], unpack(words))
  end

  return moving
end
