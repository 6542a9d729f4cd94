-- commit.lua: check every guard, then carry out every command. All or nothing.
--
-- KEYS   every key that a guard or a command names, by position
-- ARGV   prefix       put before a record key found on the server (cluster hash tag, or "")
--        mode         "data": a failed guard is returned; "error": it is raised (a pipeline of
--                     the caller's own, where nobody would look at the reply)
--        guard count, then per guard:    name, key position, argument count, arguments
--        command count, then per command: name, key position, argument count, arguments
--
-- Guards
--   watch   fields...                  names the hash fields that a failed guard reports
--   absent  key                        the record does not exist
--   exists  key                        the record exists
--   holds   key field bytes ...        these hash fields still hold these bytes ("" = missing)
--   claim   set member old field bytes field-is-free: no other live record of the set holds it
--   slot    hash digest alternative member old field bytes ...   the same for a composite index
--
-- Commands: any write of the server, and these, which decide by what the server holds
--   ENTER     set member values-key coverage-key field text has-text   add an entry and its text
--   LEAVE     set member values-key coverage-key field text has-text   remove it
--   HDELIF    hash field expected                           remove a slot that is still ours
--   SLOT      hash digest alternative member field bytes ...   take a slot, or the
--             alternative one where other values stand in it
--   RETIRE    key registry values member                    delete a record, forget its expiry
--   MOVE      key to-position                               rename where it exists
--   FOLLOW    key record-position                           expire when the record does
--   RESCHEDULE key registry values member                   correct the registry by the key
--   EXPIRE-IN / EXPIRE-AT / PERSIST-ALL   key amount registry values member
--             companion-count companion-positions... fields...   (see expiry below)
--
-- Reply  {1, reply...}  or  {0, guard position, what failed, details...}
-- Cost   O(guards + commands); claims add the members of one value's set

local prefix = ARGV[1]
local mode = ARGV[2]
local at = 3

local function read_list()
  local list = {}
  local count = tonumber(ARGV[at])
  at = at + 1
  for position = 1, count do
    local size = tonumber(ARGV[at + 2])
    list[position] = {
      name = ARGV[at],
      key = KEYS[tonumber(ARGV[at + 1])],
      first = at + 3,
      last = at + 2 + size,
    }
    at = at + 3 + size
  end
  return list
end

local guards = read_list()
local commands = read_list()

local function fail(position, what, details)
  if mode == 'error' then
    return redis.error_reply('POPOTO ' .. what .. ' guard failed, nothing was written: '
      .. tostring(details[1] or ''))
  end
  local reply = {0, position, what}
  for index = 1, #details do
    reply[index + 3] = details[index]
  end
  return reply
end

-- Guards ------------------------------------------------------------------

local watch = nil
local dead_claims = {}

local function watched(key)
  if not watch then
    return {key}
  end
  local values = redis.call('HMGET', key, unpack(ARGV, watch.first, watch.last))
  local details = {key}
  for index = 1, #values do
    details[index + 1] = values[index]
  end
  return details
end

-- Two different texts may share one key (None and "None", ":" and its escape).
-- They do not compete: only equal bytes, or numbers written in two ways, do.
local function is_text(bytes)
  local head = string.byte(bytes)
  return head and ((head >= 160 and head <= 191) or (head >= 217 and head <= 219))
end

local function competes(theirs, mine)
  if theirs == mine then
    return true
  end
  if not theirs or theirs == '\192' or mine == '\192' then
    return false
  end
  return not (is_text(theirs) and is_text(mine))
end

local function holder_of_claim(guard)
  local member, old = ARGV[guard.first], ARGV[guard.first + 1]
  local field, bytes = ARGV[guard.first + 2], ARGV[guard.first + 3]
  for _, other in ipairs(redis.call('SMEMBERS', guard.key)) do
    if other ~= member and other ~= old then
      local theirs = redis.call('HGET', prefix .. other, field)
      if theirs then
        if competes(theirs, bytes) then
          return other
        end
      elseif redis.call('EXISTS', prefix .. other) == 0 then
        dead_claims[#dead_claims + 1] = {guard.key, other}
      end
    end
  end
  return nil
end

local function same_values(other, first, last)
  for index = first, last, 2 do
    if not competes(redis.call('HGET', prefix .. other, ARGV[index]), ARGV[index + 1]) then
      return false
    end
  end
  return true
end

local function holder_of_slot(guard)
  local first = guard.first
  for index = first, first + 1 do
    local other = ARGV[index] ~= '' and redis.call('HGET', guard.key, ARGV[index])
    if other and other ~= ARGV[first + 2] and other ~= ARGV[first + 3]
      and same_values(other, first + 4, guard.last) then
      return other
    end
  end
  return nil
end

local function holds(guard)
  local names, expected = {}, {}
  for index = guard.first, guard.last, 2 do
    names[#names + 1] = ARGV[index]
    expected[#expected + 1] = ARGV[index + 1]
  end
  local values = redis.call('HMGET', guard.key, unpack(names))
  for index = 1, #names do
    if (values[index] or '') ~= expected[index] then
      return false
    end
  end
  return true
end

for position, guard in ipairs(guards) do
  local name = guard.name
  if name == 'watch' then
    watch = guard
  elseif name == 'absent' then
    if redis.call('EXISTS', guard.key) == 1 then
      local kind = redis.call('TYPE', guard.key).ok
      if kind ~= 'hash' then
        return fail(position, 'type', {guard.key, kind, 'hash'})
      end
      return fail(position, 'absent', watched(guard.key))
    end
  elseif name == 'exists' then
    if redis.call('EXISTS', guard.key) == 0 then
      return fail(position, 'exists', {guard.key})
    end
  elseif name == 'holds' then
    if not holds(guard) then
      if redis.call('EXISTS', guard.key) == 0 then
        return fail(position, 'exists', {guard.key})
      end
      return fail(position, 'holds', watched(guard.key))
    end
  else
    local holder
    if name == 'claim' then
      holder = holder_of_claim(guard)
    else
      holder = holder_of_slot(guard)
    end
    if holder then
      return fail(position, name, {holder})
    end
  end
end

-- A write that meets a key of the wrong type would stop half-way, and nothing
-- rolls back: so look before the first one.
local kinds = {
  HSET = 'hash', HDEL = 'hash', HDELIF = 'hash', SLOT = 'hash', HINCRBY = 'hash',
  SADD = 'set', SREM = 'set', ENTER = 'set', LEAVE = 'set',
  ZADD = 'zset', ZREM = 'zset', GEOADD = 'zset',
  RPUSH = 'list', LPUSH = 'list', LTRIM = 'list',
}
local seen = {}
for _, command in ipairs(commands) do
  local expected = kinds[command.name]
  if expected and not seen[command.key] then
    local kind = redis.call('TYPE', command.key).ok
    if kind ~= 'none' and kind ~= expected then
      return fail(0, 'type', {command.key, kind, expected})
    end
    seen[command.key] = true
  end
end

-- Commands ----------------------------------------------------------------

for _, claim in ipairs(dead_claims) do
  redis.call('SREM', claim[1], claim[2])
end

local function key_at(index)
  return KEYS[tonumber(ARGV[index])]
end

-- Expiry: the registry says when each record ends, and `values` keeps the bytes
-- from which its entries follow, so that they can be removed when it is gone.
local function forget_expiry(registry, values, member)
  if redis.call('ZREM', registry, member) == 1 then
    redis.call('HDEL', values, member)
  end
end

local function expiry(command)
  local first = command.first
  local amount, registry, values = ARGV[first], key_at(first + 1), key_at(first + 2)
  local member, companions = ARGV[first + 3], tonumber(ARGV[first + 4])
  local record = command.key
  if command.name == 'PERSIST-ALL' then
    local changed = redis.call('PERSIST', record)
    if changed == 1 then
      for index = first + 5, first + 4 + companions do
        redis.call('PERSIST', key_at(index))
      end
      forget_expiry(registry, values, member)
    end
    return changed
  end
  local fields = redis.call('HMGET', record, unpack(ARGV, first + 5 + companions, command.last))
  local packed = {}
  for index = 1, #fields do
    packed[index] = fields[index] or ''
  end
  local verb = command.name == 'EXPIRE-IN' and 'PEXPIRE' or 'PEXPIREAT'
  local changed = redis.call(verb, record, amount)
  for index = first + 5, first + 4 + companions do
    redis.call(verb, key_at(index), amount)
  end
  local moment = tonumber(amount)
  if command.name == 'EXPIRE-IN' then
    local now = redis.call('TIME')
    moment = now[1] * 1000 + math.floor(now[2] / 1000) + moment
  end
  redis.call('ZADD', registry, string.format('%.0f', moment), member)
  redis.call('HSET', values, member, cmsgpack.pack(packed))
  return changed
end

local special = {}

special['ENTER'] = function(command)
  local first = command.first
  local added = redis.call('SADD', command.key, ARGV[first])
  if added == 1 then
    if ARGV[first + 5] == '1' then
      redis.call('ZADD', key_at(first + 1), 0, ARGV[first + 4])
    end
    redis.call('HINCRBY', key_at(first + 2), ARGV[first + 3], 1)
  end
  return added
end

special['LEAVE'] = function(command)
  local first = command.first
  local removed = redis.call('SREM', command.key, ARGV[first])
  if removed == 1 then
    if ARGV[first + 5] == '1' and redis.call('EXISTS', command.key) == 0 then
      redis.call('ZREM', key_at(first + 1), ARGV[first + 4])
    end
    local coverage, field = key_at(first + 2), ARGV[first + 3]
    -- Entries written by popoto 1.6 were never counted: do not go below zero.
    if tonumber(redis.call('HGET', coverage, field) or '0') <= 1 then
      redis.call('HDEL', coverage, field)
    else
      redis.call('HINCRBY', coverage, field, -1)
    end
  end
  return removed
end

special['HDELIF'] = function(command)
  local first = command.first
  if redis.call('HGET', command.key, ARGV[first]) == ARGV[first + 1] then
    return redis.call('HDEL', command.key, ARGV[first])
  end
  return 0
end

special['SLOT'] = function(command)
  local first = command.first
  local member = ARGV[first + 2]
  local other = redis.call('HGET', command.key, ARGV[first])
  local digest = ARGV[first]
  if other and other ~= member and redis.call('EXISTS', prefix .. other) == 1
    and not same_values(other, first + 3, command.last) then
    digest = ARGV[first + 1]
  end
  return redis.call('HSET', command.key, digest, member)
end

special['RETIRE'] = function(command)
  local first = command.first
  forget_expiry(key_at(first), key_at(first + 1), ARGV[first + 2])
  return redis.call('DEL', command.key)
end

special['MOVE'] = function(command)
  if redis.call('EXISTS', command.key) == 0 then
    return 0
  end
  redis.call('RENAME', command.key, key_at(command.first))
  return 1
end

special['RESCHEDULE'] = function(command)
  local first = command.first
  local registry, values, member = key_at(first), key_at(first + 1), ARGV[first + 2]
  local remaining = redis.call('PTTL', command.key)
  if remaining >= 0 then
    local now = redis.call('TIME')
    local moment = now[1] * 1000 + math.floor(now[2] / 1000) + remaining
    redis.call('ZADD', registry, string.format('%.0f', moment), member)
  elseif remaining == -1 then
    forget_expiry(registry, values, member)
  end
  return remaining
end

special['FOLLOW'] = function(command)
  local remaining = redis.call('PTTL', key_at(command.first))
  if remaining > 0 then
    return redis.call('PEXPIRE', command.key, remaining)
  end
  return 0
end

special['EXPIRE-IN'] = expiry
special['EXPIRE-AT'] = expiry
special['PERSIST-ALL'] = expiry

local replies = {1}
for position, command in ipairs(commands) do
  local run = special[command.name]
  if run then
    replies[position + 1] = run(command)
  elseif command.key then
    replies[position + 1] =
      redis.call(command.name, command.key, unpack(ARGV, command.first, command.last))
  else
    replies[position + 1] = redis.call(command.name, unpack(ARGV, command.first, command.last))
  end
end
return replies
