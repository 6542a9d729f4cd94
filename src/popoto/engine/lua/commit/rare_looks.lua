-- commit/rare_looks.lua: the looks at commands of ours that not every call has.

local function make_looks()
  -- registry, then values (key member) ...
  local function look_at_forgetting(registry, first)
    removes = true
    return look_at('ZREM', registry, 'ZCARD') or look_at('HDEL', key_at(first), 'HLEN')
  end

  local function look_at_retiring(registry, first, last)
    local failure = look_at_forgetting(registry, first)
    for index = first + 1, last, 2 do
      failure = failure or denied('DEL', key_at(index))
    end
    return failure
  end

  -- amount registry values member companion-count companion-positions... fields...
  local function look_at_expiring(key, first, _, name)
    if name == 'EXPIRE-AS-IS' and (held('PTTL', key) or -1) < 0 then
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

  local function look_at_rescheduling(key, first)
    return denied('PTTL', key) or denied('TIME', key) or look_at('ZADD', key_at(first), 'ZCARD')
      or denied('ZREM', key_at(first)) or look_at('HDEL', key_at(first + 1), 'HLEN')
  end

  local function look_at_following(key, first)
    return denied('PTTL', key_at(first)) or denied('PEXPIRE', key)
  end

  -- What stands there goes away, whatever it is.
  local function look_at_removal(key, _, _, name)
    seen[key] = true
    removes = true
    return denied(name, key)
  end

  local function look_at_moving(key, first)
    local to = key_at(first)
    seen[to] = seen[key] or true
    removes = true
    return denied('EXISTS', key) or denied('DEL', to) or denied('RENAME', key, to)
  end

  -- Its record is known to be a hash; what else ADD writes is the sorted index.
  local function look_at_sum(key, first, last)
    return denied('HSET', key)
      or last > first + 2 and look_at('ZADD', key_at(first + 3), 'ZCARD') or nil
  end

  local function look_at_slot(key)
    removes = true
    return look_at('HSET', key, 'HLEN') or denied('HDEL', key) or denied('HGET', key)
  end

  -- field-count fields... values..., then (key) ...
  local function look_at_filling(_, first, last)
    local failure
    for index = first + 1 + ARGV[first], last do
      failure = failure or look_at('HSET', key_at(index), 'HLEN')
    end
    return failure
  end

  -- A key that is to be of a type, whatever becomes of it.
  local function look_at_kind(key, first)
    local measures = {set = 'SCARD', zset = 'ZCARD', hash = 'HLEN', list = 'LLEN', stream = 'XLEN'}
    return unlike(key, measures[ARGV[first]])
  end

  -- The look at the claims of missing records, which go before others take them.
  local function look_at_dead()
    local failure
    for _, claim in ipairs(dead_claims) do
      failure = failure or look_at('SREM', claim.set, 'SCARD')
      if claim.coverage and not failure then
        failure = look_at_count(claim.coverage, claim.field) or denied('HDEL', claim.coverage)
      end
    end
    removes = true
    return failure
  end

  return {
    FORGET = look_at_forgetting, RETIRE = look_at_retiring,
    ['EXPIRE-IN'] = look_at_expiring, ['EXPIRE-AT'] = look_at_expiring,
    ['EXPIRE-AS-IS'] = look_at_expiring, RESCHEDULE = look_at_rescheduling,
    FOLLOW = look_at_following, DEL = look_at_removal, UNLINK = look_at_removal,
    MOVE = look_at_moving, ADD = look_at_sum, SLOT = look_at_slot, HDELIF = look_at_slot,
    FILL = look_at_filling, KIND = look_at_kind, DEAD = look_at_dead,
  }
end
