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

  -- name kinds words...
  function moving.words(first, last)
    local kinds, words = ARGV[first + 1], {}
    for index = first + 2, last do
      local place = index - first - 1
      words[place] = string.sub(kinds, place, place) == 'k' and key_at(index) or ARGV[index]
    end
    return words
  end

  function moving.KEYED(_, first, last)
    return redis.pcall(ARGV[first], unpack(moving.words(first, last)))
  end

  -- field-count fields... values..., then (key) ...
  function moving.FILL(_, first, last)
    local count, filled = ARGV[first] + 0, 0
    for index = first + 1 + count, last do
      local key = key_at(index)
      if call('HLEN', key) > 0 then
        call('HSET', key, unpack(ARGV, first + 1, first + count))
        filled = filled + 1
      end
    end
    return filled
  end

  moving.looks = {}

  function moving.looks.MOVE(key, first)
    local to = key_at(first)
    seen[to] = seen[key] or true
    return denied('EXISTS', key) or denied('DEL', to) or denied('RENAME', key, to)
  end

  function moving.looks.CARRY(key, first)
    local is_hash, to = ARGV[first] == 'hash', key_at(first + 2)
    local measure = is_hash and 'HLEN' or 'ZCARD'
    return look_at(is_hash and 'HDEL' or 'ZREM', key, measure)
      or look_at(is_hash and 'HSET' or 'ZADD', to, measure)
      or denied(is_hash and 'HDEL' or 'ZREM', to)
      or denied(is_hash and 'HGET' or 'ZSCORE', key)
  end

  function moving.looks.FILL(_, first, last)
    local failure
    for index = first + 1 + ARGV[first], last do
      failure = failure or look_at('HSET', key_at(index), 'HLEN')
    end
    return failure
  end

  function moving.looks.KEYED(_, first, last)
    return make_queued_looks().refused(ARGV[first], unpack(moving.words(first, last)))
  end

  return moving
end
