-- commit/refusing.lua: the replies that say why nothing was written.

local failures = {2}

local function make_refusing()
  local refusing = {}

  -- The reply for one guard that failed, by its number; 0 = the look at the types of keys. A key
  -- among the details comes first; callers know it without its hash tag.
  function refusing.refusal(number, what, details)
    if prefix ~= '' and string.sub(details[1] or '', 1, #prefix) == prefix then
      details[1] = string.sub(details[1], #prefix + 1)
    end
    if mode == 'error' then
      return redis.error_reply('POPOTO ' .. what .. ' guard failed, nothing was written: '
        .. tostring(details[1] or ''))
    end
    local reply = wants_every and number > 0 and {number, what} or {0, number, what}
    for index = 1, #details do
      reply[#reply + 1] = details[index]
    end
    return reply
  end

  function refusing.refuse(number, what, details)
    failures[#failures + 1] = refusing.refusal(number, what, details)
  end

  -- What the type is of keys on which these succeed.
  local kinds = {
    SCARD = 'set', ZCARD = 'zset', HLEN = 'hash', LLEN = 'list', XLEN = 'stream',
    STRLEN = 'string', PFCOUNT = 'HyperLogLog',
  }

  -- The reply for a key of another type than the one on which this measure succeeds; of one
  -- guard, or of the look at all keys.
  function refusing.refuse_type(key, measure, number)
    return refusing.refusal(number or 0, 'type', {key, redis.call('TYPE', key).ok, kinds[measure]})
  end

  -- Tell also what the record's hash holds.
  function refusing.refuse_with_hash(number, what, key)
    local kind = call('TYPE', key).ok
    if kind ~= 'hash' then
      return refusing.refuse(number, 'type', {key, kind, 'hash'})
    end
    local details = call('HGETALL', key)
    table.insert(details, 1, key)
    return refusing.refuse(number, what, details)
  end

  return refusing
end
