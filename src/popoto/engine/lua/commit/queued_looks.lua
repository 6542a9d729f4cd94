-- commit/queued_looks.lua: the looks at commands of the server that hooks have queued.
--
-- They find what can be told without carrying them out: whether the server knows them and the user
-- may use them, types, numbers that are none. What else a server refuses, it refuses when all
-- the rest is written, and the reply says so.

local function make_queued_looks()
  -- Commands by what succeeds on keys of their type.
  local others = {
    STRLEN = 'APPEND BITFIELD DECR DECRBY GETDEL GETEX GETSET INCR INCRBY INCRBYFLOAT SETBIT '
      .. 'SETRANGE',
    HLEN = 'HEXPIRE HEXPIREAT HINCRBY HINCRBYFLOAT HMSET HPERSIST HPEXPIRE HPEXPIREAT',
    LLEN = 'LINSERT LPOP LPUSHX LREM LSET RPOP RPUSHX',
    SCARD = 'SPOP',
    ZCARD = 'ZINCRBY ZPOPMAX ZPOPMIN ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE',
    XLEN = 'XACK XAUTOCLAIM XCLAIM XDEL XSETID XTRIM',
    PFCOUNT = 'PFADD',
  }

  local function measure_of(name)
    for measure, names in pairs(others) do
      if string.find(' ' .. names .. ' ', ' ' .. name .. ' ', 1, true) then
        return measure
      end
    end
    return nil
  end

  -- How the number is read that a command adds to.
  local added_to = {
    INCR = 'GET', DECR = 'GET', INCRBY = 'GET', DECRBY = 'GET', INCRBYFLOAT = 'GET',
    HINCRBY = 'HGET', HINCRBYFLOAT = 'HGET',
  }

  local function look_at_number(name, key, first)
    local words = added_to[name] == 'HGET' and {'HGET', key, ARGV[first]} or {'GET', key}
    local now = reading(false, unpack(words))
    local is_number = tonumber(now or '0')
    if is_number and now and not string.find(name, 'FLOAT', 1, true) then
      is_number = is_whole(now)
    end
    return not is_number and make_refusing().refusal(0, 'number', {key, words[3] or '', now}) or nil
  end

  -- An error reply for words that the server does not know, or that the user may not use.
  local function refused(name, ...)
    if not redis.acl_check_cmd then
      return nil
    end
    local is_known, is_allowed = pcall(redis.acl_check_cmd, name, ...)
    if is_known and is_allowed then
      return nil
    end
    return redis.error_reply((is_known and 'NOPERM this user may not use the command '
      or 'ERR the server does not know the command ') .. name .. '; nothing was written')
  end

  local function look_at_queued(key, first, last, name)
    if not key then
      return refused(name, unpack(ARGV, first, last))
    end
    local measure = measure_of(name)
    local failure = refused(name, key, unpack(ARGV, first, last))
      or measure and unlike(key, measure) or nil
    if not failure and added_to[name] then
      failure = look_at_number(name, key, first)
    end
    return failure
  end

  -- Whether it is the state of the server that refuses a command: as long as a script has not
  -- written anything, and never after that.
  local function is_of_server(problem)
    for _, code in ipairs({'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS'}) do
      if string.find(problem, '^%-?' .. code .. ' ') then
        return true
      end
    end
    return false
  end

  return {look = look_at_queued, refused = refused, is_of_server = is_of_server}
end
