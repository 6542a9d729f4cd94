-- commit/expiring.lua: the end of records. The registry says when each ends, and `values` keeps the
-- bytes from which its entries follow, so that they can be removed when it is gone.

local function make_retiring()
  local retiring = {}

  -- values, then (key member) ...
  function retiring.FORGET(registry, first, last)
    local members = {}
    for index = first + 2, last, 2 do
      members[#members + 1] = ARGV[index]
    end
    if call('ZREM', registry, unpack(members)) > 0 then
      call('HDEL', key_at(first), unpack(members))
    end
    return 1
  end

  -- The same.
  function retiring.RETIRE(registry, first, last)
    local keys = {}
    for index = first + 1, last, 2 do
      keys[#keys + 1] = key_at(index)
    end
    retiring.FORGET(registry, first, last)
    return call('DEL', unpack(keys))
  end

  retiring.looks = {}

  function retiring.looks.FORGET(registry, first)
    return look_at('ZREM', registry, 'ZCARD') or look_at('HDEL', key_at(first), 'HLEN')
  end

  function retiring.looks.RETIRE(registry, first, last)
    local failure = retiring.looks.FORGET(registry, first)
    for index = first + 1, last, 2 do
      failure = failure or not allowed.DEL and denied('DEL', key_at(index)) or nil
    end
    return failure
  end

  return retiring
end

local function milliseconds()
  local now = call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function make_expiring()
  -- amount registry values member companion-count companion-positions... fields...
  local function expire(verb, record, amount, first, last)
    local registry, values, member = key_at(first + 1), key_at(first + 2), ARGV[first + 3]
    local first_companion, companions = first + 5, ARGV[first + 4] + 0
    local first_field, noted = first_companion + companions, {}
    local stored = call('HMGET', record, unpack(ARGV, first_field, last))
    for index = first_field, last do
      -- By name: who reads it may have another definition of the model.
      noted[ARGV[index]] = stored[index - first_field + 1] or nil
    end
    local changed = call(verb, record, amount)
    for index = first_companion, first_companion + companions - 1 do
      call(verb, key_at(index), amount)
    end
    local moment = verb == 'PEXPIRE' and milliseconds() + amount or tonumber(amount)
    call('ZADD', registry, string.format('%.0f', moment), member)
    call('HSET', values, member, cmsgpack.pack(noted))
    return changed
  end

  local function look_at_expiring(key, first, _, name)
    if name == 'EXPIRE-AS-IS' and (reading(false, 'PTTL', key) or -1) < 0 then
      return nil
    end
    local verb = name == 'EXPIRE-AT' and 'PEXPIREAT' or 'PEXPIRE'
    local failure = denied(verb, key) or denied('HMGET', key) or denied('TIME', key)
      or look_at('ZADD', key_at(first + 1), 'ZCARD') or look_at('HSET', key_at(first + 2), 'HLEN')
    for index = first + 5, first + 4 + ARGV[first + 4] do
      failure = failure or denied(verb, key_at(index))
    end
    return failure
  end

  return {
    looks = {
      ['EXPIRE-IN'] = look_at_expiring, ['EXPIRE-AT'] = look_at_expiring,
      ['EXPIRE-AS-IS'] = look_at_expiring,
    },
    ['EXPIRE-IN'] = function(record, first, last)
      return expire('PEXPIRE', record, ARGV[first], first, last)
    end,
    ['EXPIRE-AT'] = function(record, first, last)
      return expire('PEXPIREAT', record, ARGV[first], first, last)
    end,
    -- The end stays as it is; what is kept beside the record follows it.
    ['EXPIRE-AS-IS'] = function(record, first, last)
      local remaining = call('PTTL', record)
      return remaining < 0 and 0 or expire('PEXPIRE', record, remaining, first, last)
    end,
  }
end

-- What is corrected by the end that a record has.
local function make_following()
  local following = {}

  function following.RESCHEDULE(key, first)
    local registry, values, member = key_at(first), key_at(first + 1), ARGV[first + 2]
    local remaining = call('PTTL', key)
    if remaining >= 0 then
      call('ZADD', registry, string.format('%.0f', milliseconds() + remaining), member)
    elseif remaining == -1 and call('ZREM', registry, member) == 1 then
      call('HDEL', values, member)
    end
    return remaining
  end

  function following.FOLLOW(key, first)
    local remaining = call('PTTL', key_at(first))
    return remaining >= 0 and call('PEXPIRE', key, remaining) or 0
  end

  following.looks = {}

  function following.looks.RESCHEDULE(key, first)
    return denied('PTTL', key) or denied('TIME', key) or look_at('ZADD', key_at(first), 'ZCARD')
      or denied('ZREM', key_at(first)) or look_at('HDEL', key_at(first + 1), 'HLEN')
  end

  function following.looks.FOLLOW(key, first)
    return denied('PTTL', key_at(first)) or denied('PEXPIRE', key)
  end

  return following
end
