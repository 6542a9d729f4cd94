-- commit.lua: check every guard, then carry out every command. All or nothing.
--
-- KEYS   every key that a guard or a command names, by position
-- ARGV   prefix       put before a record key found on the server (cluster hash tag, or "")
--        mode         "data": a failed guard is returned; "error": it is raised (a pipeline of
--                     the caller's own, where nobody would look at the reply); "every": all
--                     failed guards are returned (a batch of many records)
--        guard count, then per guard:    name, key position, argument count, arguments
--        command count, then per command: name, key position, argument count, arguments
--
-- Guards
--   absent  key [values member note [class-set]]   the record does not exist; with more arguments,
--                                      neither has it left another note in the expiry registry
--                                      than this one, nor its key in the class set
--   exists  key                        the record exists
--   holds   key field bytes ...        these hash fields still hold these bytes ("" = missing)
--   claim   set member old field bytes coverage-key   no other live record of the set holds it
--   slot    hash digest alternative member old field bytes ...   the same for a composite index
--   addable key field delta kind       the field holds a number (or none), and Lua's doubles add
--                                      the delta to it exactly; kind is "int" or "float"
--
-- Commands: any write of the server, and these, which decide by what the server holds
--   ENTER     set member values-key coverage-key field text has-text   add an entry and its text
--   LEAVE     set member values-key coverage-key field text has-text   remove it
--   HDELIF    hash field expected                           remove a slot that is still ours
--   SLOT      hash digest alternative member field bytes ...   take a slot, or the
--             alternative one where other values stand in it
--   RETIRE    key registry values member                    delete a record, forget its expiry
--   FORGET    key registry values member                    forget the expiry of a record
--   MOVE      key to-position                               rename; delete the target where there is
--             nothing to rename
--   FOLLOW    key record-position                           expire when the record does
--   RESCHEDULE key registry values member                   correct the registry by the key
--   ADD       key field delta kind [zset-position member]   add to the number that an addable
--             guard has looked at, and set the score of a sorted index; replies the new bytes
--   KEYED     - name kinds words...                         a command of the server with several
--             keys: for each word "k" (a key, as its position) or "v" in kinds
--   EXPIRE-IN / EXPIRE-AT / EXPIRE-AS-IS   key amount registry values member
--             companion-count companion-positions... fields...   (see expiry below)
--
-- Reply  {1, reply...}  or  {0, guard position, what failed, details...}; for absent and
--        holds the details are the key and what its hash holds: field, bytes, ... What failed
--        is also: note (an expired record left one; details: key, note), orphan (a record went
--        without one), type (of a key).
--        In mode "every"  {2, {guard position, what failed, details...}, ...}
-- Cost   O(guards + commands); claims add the members of one value's set

local prefix, mode = ARGV[1], ARGV[2]
local call = redis.call

local function fail(position, what, details)
  if mode == 'error' then
    return redis.error_reply('POPOTO ' .. what .. ' guard failed, nothing was written: '
      .. tostring(details[1] or ''))
  end
  local reply = {0, position, what}
  if mode == 'every' and position > 0 then
    reply = {position, what}
  end
  for index = 1, #details do
    reply[#reply + 1] = details[index]
  end
  return reply
end

local function fail_with_hash(position, what, key)
  local kind = call('TYPE', key).ok
  if kind ~= 'hash' then
    return fail(position, 'type', {key, kind, 'hash'})
  end
  local details = call('HGETALL', key)
  table.insert(details, 1, key)
  return fail(position, what, details)
end

-- Guards ------------------------------------------------------------------

-- A key of another type holds nothing. It is told before anything is written: by a failed
-- "holds", or by the look at all types below.
local function held(key, field)
  local value = redis.pcall('HGET', key, field)
  return type(value) ~= 'table' and value
end

local dead_claims = {}

-- Two different texts may share one key (None and "None", ":" and its escape).
-- They do not compete: only equal bytes, or numbers written in two ways, do.
local function competes(theirs, mine)
  if theirs == mine then
    return true
  end
  if not theirs or theirs == '\192' or mine == '\192' then
    return false
  end
  local a, b = string.byte(theirs), string.byte(mine)
  local theirs_is_text = (a >= 160 and a <= 191) or (a >= 217 and a <= 219)
  local mine_is_text = (b >= 160 and b <= 191) or (b >= 217 and b <= 219)
  return not (theirs_is_text and mine_is_text)
end

-- claim: set member old field bytes coverage-key
local function holder_of_claim(key, first)
  local member, old = ARGV[first], ARGV[first + 1]
  -- pcall: a set of a wrong type is told below, before anything is written
  for _, other in ipairs(redis.pcall('SMEMBERS', key)) do
    if other ~= member and other ~= old then
      local theirs = held(prefix .. other, ARGV[first + 2])
      if theirs then
        if competes(theirs, ARGV[first + 3]) then
          return other
        end
      elseif call('EXISTS', prefix .. other) == 0 then
        dead_claims[#dead_claims + 1] = {key, other, ARGV[first + 4], ARGV[first + 2]}
      end
    end
  end
  return nil
end

local function same_values(other, first, last)
  for index = first, last, 2 do
    if not competes(held(prefix .. other, ARGV[index]), ARGV[index + 1]) then
      return false
    end
  end
  return true
end

-- slot: hash digest alternative member old field bytes ...
local function holder_of_slot(key, first, last)
  for index = first, first + 1 do
    local other = ARGV[index] ~= '' and held(key, ARGV[index])
    if other and other ~= ARGV[first + 2] and other ~= ARGV[first + 3]
      and same_values(other, first + 4, last) then
      return other
    end
  end
  return nil
end

-- holds: key field bytes ...
-- Two answers: whether all fields hold what is expected, and whether one of them was there,
-- without which a record that is gone would hold everything that is expected to be missing.
local function holds(key, first, last)
  local present = false
  for index = first, last, 2 do
    local value = held(key, ARGV[index])
    if (value or '') ~= ARGV[index + 1] then
      return false
    end
    present = present or value
  end
  return true, present
end

-- The sum of a stored number and a delta, or nil where doubles cannot tell it exactly.
-- Beyond 2^53, for Decimals and for damaged bytes the client computes it.
local EXACT = 9007199254740992

local function sum_of(bytes, delta, kind)
  local value = 0
  if bytes and bytes ~= '\192' then
    local decoded, found = pcall(cmsgpack.unpack, bytes)
    if not decoded or type(found) ~= 'number' then
      return nil
    end
    value = found
  end
  local sum = value + tonumber(delta)
  if kind == 'int' then
    -- 2^53 itself may be the rounded 2^53 + 1.
    local exact = value % 1 == 0 and math.abs(value) < EXACT and math.abs(sum) < EXACT
    return exact and sum or nil
  end
  return sum - sum == 0 and sum or nil
end

-- Keys that a guard has found to be what a record's commands need.
local seen = {}

-- What is wrong with one guard, or nil.
local function broken(position, name, key, first, last)
  if name == 'holds' then
    local same, present = holds(key, first, last)
    if not present and call('EXISTS', key) == 0 then
      return fail(position, 'exists', {key})
    elseif not same then
      return fail_with_hash(position, 'holds', key)
    end
    seen[key] = last >= first
  elseif name == 'absent' then
    if call('EXISTS', key) == 1 then
      return fail_with_hash(position, 'absent', key)
    end
    if last >= first then
      local note = call('HGET', KEYS[tonumber(ARGV[first])], ARGV[first + 1]) or ''
      if note ~= ARGV[first + 2] then
        return fail(position, 'note', {key, note})
      elseif last > first + 2
        -- pcall: a class set of a wrong type is told below, before anything is written
        and redis.pcall('SISMEMBER', KEYS[tonumber(ARGV[last])], ARGV[first + 1]) == 1 then
        return fail(position, 'orphan', {key})
      end
    end
    seen[key] = true
  elseif name == 'exists' then
    if call('EXISTS', key) == 0 then
      return fail(position, 'exists', {key})
    end
  elseif name == 'addable' then
    if call('EXISTS', key) == 0 then
      return fail(position, 'exists', {key})
    elseif not sum_of(call('HGET', key, ARGV[first]), ARGV[first + 1], ARGV[first + 2]) then
      return fail_with_hash(position, 'addable', key)
    end
  else
    local holder
    if name == 'claim' then
      holder = holder_of_claim(key, first)
    elseif name == 'slot' then
      holder = holder_of_slot(key, first, last)
    else
      return redis.error_reply('POPOTO there is no guard ' .. name)
    end
    if holder then
      return fail(position, name, {holder})
    end
  end
  return nil
end

local failures = {2}
local at = 4
for position = 1, tonumber(ARGV[3]) do
  local first = at + 3
  local last = at + 2 + tonumber(ARGV[at + 2])
  local failure = broken(position, ARGV[at], KEYS[tonumber(ARGV[at + 1])], first, last)
  at = last + 1
  if failure then
    if mode ~= 'every' then
      return failure
    end
    failures[#failures + 1] = failure
  end
end
if #failures > 1 then
  return failures
end

-- A write that meets a key of the wrong type would stop half-way, and nothing
-- rolls back: so look before the first one. The hash of the record comes first
-- and stops the script by itself.
local function unlike(key, expected)
  if seen[key] then
    return nil
  end
  seen[key] = true
  local kind = call('TYPE', key).ok
  return kind ~= 'none' and kind ~= expected and fail(0, 'type', {key, kind, expected}) or nil
end

local count = tonumber(ARGV[at])
local first_command = at + 1
at = first_command
for position = 1, count do
  local name, key = ARGV[at], KEYS[tonumber(ARGV[at + 1])]
  local first, size = at + 3, tonumber(ARGV[at + 2])
  at = first + size
  if name == 'ADD' then
    -- Its record is known to be a hash; what else it writes is the sorted index.
    name, key = 'ZADD', size > 3 and KEYS[tonumber(ARGV[first + 3])]
  end
  if key and not seen[key] then
    local expected
    if name == 'ENTER' or name == 'LEAVE' or name == 'SADD' or name == 'SREM' then
      expected = 'set'
    elseif name == 'ZADD' or name == 'ZREM' or name == 'GEOADD' then
      expected = 'zset'
    elseif name == 'HSET' or name == 'HDELIF' or name == 'SLOT' or name == 'HDEL'
      or name == 'HSETNX' then
      expected = position > 1 and 'hash' or nil
    elseif name == 'RPUSH' or name == 'LPUSH' then
      expected = 'list'
    elseif name == 'XADD' then
      expected = 'stream'
    end
    if expected then
      local failure = unlike(key, expected)
      if not failure and (name == 'ENTER' or name == 'LEAVE') then
        failure = unlike(KEYS[tonumber(ARGV[first + 1])], 'zset')
          or unlike(KEYS[tonumber(ARGV[first + 2])], 'hash')
      end
      if failure then
        return failure
      end
    elseif name == 'DEL' or name == 'MOVE' then
      seen[key] = true
    end
  end
end

-- Commands ----------------------------------------------------------------

local function key_at(index)
  return KEYS[tonumber(ARGV[index])]
end

-- Entries written by popoto 1.6 were never counted: do not go below zero.
local function count_down(coverage, field)
  if tonumber(call('HGET', coverage, field) or '0') <= 1 then
    call('HDEL', coverage, field)
  else
    call('HINCRBY', coverage, field, -1)
  end
end

for _, claim in ipairs(dead_claims) do
  if call('SREM', claim[1], claim[2]) == 1 and claim[3] ~= '0' then
    count_down(KEYS[tonumber(claim[3])], claim[4])
  end
end

-- A set may serve two texts: ":" and its escape, null and "None". The text goes with its
-- last holder, and with the last member of the set go all that may stand for the set.
local ESCAPED_SEPARATOR = '{&#58;}'

local function forget_text(set, values, field, text, has_text)
  local ambiguous = string.find(text, ESCAPED_SEPARATOR, 1, true)
  if call('EXISTS', set) == 0 then
    call('ZREM', values, has_text == '1' and text or 'None')
    if ambiguous then
      call('ZREM', values, (string.gsub(text, ESCAPED_SEPARATOR, ':')))
    end
  elseif ambiguous then
    for _, member in ipairs(call('SMEMBERS', set)) do
      local bytes = call('HGET', prefix .. member, field)
      if bytes and string.sub(bytes, -#text) == text then
        return
      end
    end
    call('ZREM', values, text)
  end
end

-- Expiry: the registry says when each record ends, and `values` keeps the bytes
-- from which its entries follow, so that they can be removed when it is gone.
local function forget_expiry(registry, values, member)
  if call('ZREM', registry, member) == 1 then
    call('HDEL', values, member)
  end
end

local function expire(name, record, first, last)
  local amount, registry, values = ARGV[first], key_at(first + 1), key_at(first + 2)
  if name == 'EXPIRE-AS-IS' then
    -- The end stays as it is; what is kept beside the record follows it.
    amount = call('PTTL', record)
    if amount < 0 then
      return 0
    end
    name = 'EXPIRE-IN'
  end
  local member, companions = ARGV[first + 3], tonumber(ARGV[first + 4])
  local fields = call('HMGET', record, unpack(ARGV, first + 5 + companions, last))
  local packed = {}
  for index = 1, #fields do
    packed[index] = fields[index] or ''
  end
  local verb = name == 'EXPIRE-IN' and 'PEXPIRE' or 'PEXPIREAT'
  local changed = call(verb, record, amount)
  for index = first + 5, first + 4 + companions do
    call(verb, key_at(index), amount)
  end
  local moment = tonumber(amount)
  if name == 'EXPIRE-IN' then
    local now = call('TIME')
    moment = now[1] * 1000 + math.floor(now[2] / 1000) + moment
  end
  call('ZADD', registry, string.format('%.0f', moment), member)
  call('HSET', values, member, cmsgpack.pack(packed))
  return changed
end

local function add(key, first, last)
  local kind = ARGV[first + 2]
  local sum = sum_of(call('HGET', key, ARGV[first]), ARGV[first + 1], kind)
  local bytes = kind == 'int' and cmsgpack.pack(sum) or '\203' .. struct.pack('>d', sum)
  if last > first + 2 then
    call('ZADD', key_at(first + 3), string.format('%.17g', sum), ARGV[first + 4])
  end
  call('HSET', key, ARGV[first], bytes)
  return bytes
end

local function carry_out(name, key, first, last)
  if name == 'ENTER' then
    local added = call('SADD', key, ARGV[first])
    if ARGV[first + 5] == '1' then
      -- Also where the record was in the set already, with another text of that set.
      call('ZADD', key_at(first + 1), 0, ARGV[first + 4])
    end
    if added == 1 then
      call('HINCRBY', key_at(first + 2), ARGV[first + 3], 1)
    end
    return added
  elseif name == 'LEAVE' then
    local removed = call('SREM', key, ARGV[first])
    -- Also where a claim has been taken over meanwhile: the text went with nobody then.
    forget_text(key, key_at(first + 1), ARGV[first + 3], ARGV[first + 4], ARGV[first + 5])
    if removed == 1 then
      count_down(key_at(first + 2), ARGV[first + 3])
    end
    return removed
  elseif name == 'ADD' then
    return add(key, first, last)
  elseif name == 'EXPIRE-IN' or name == 'EXPIRE-AT' or name == 'EXPIRE-AS-IS' then
    return expire(name, key, first, last)
  elseif name == 'RETIRE' then
    forget_expiry(key_at(first), key_at(first + 1), ARGV[first + 2])
    return call('DEL', key)
  elseif name == 'FORGET' then
    forget_expiry(key_at(first), key_at(first + 1), ARGV[first + 2])
    return 1
  elseif name == 'HDELIF' then
    if call('HGET', key, ARGV[first]) == ARGV[first + 1] then
      return call('HDEL', key, ARGV[first])
    end
    return 0
  elseif name == 'SLOT' then
    local digest = ARGV[first]
    local other = call('HGET', key, digest)
    if other and other ~= ARGV[first + 2] and call('EXISTS', prefix .. other) == 1
      and not same_values(other, first + 3, last) then
      digest = ARGV[first + 1]
    elseif call('HGET', key, ARGV[first + 1]) == ARGV[first + 2] then
      call('HDEL', key, ARGV[first + 1])
    end
    return call('HSET', key, digest, ARGV[first + 2])
  elseif name == 'MOVE' then
    if call('EXISTS', key) == 0 then
      -- What an earlier record left there is not this one's.
      call('DEL', key_at(first))
      return 0
    end
    call('RENAME', key, key_at(first))
    return 1
  elseif name == 'FOLLOW' then
    local remaining = call('PTTL', key_at(first))
    return remaining >= 0 and call('PEXPIRE', key, remaining) or 0
  elseif name == 'RESCHEDULE' then
    local registry, values, member = key_at(first), key_at(first + 1), ARGV[first + 2]
    local remaining = call('PTTL', key)
    if remaining >= 0 then
      local now = call('TIME')
      local moment = now[1] * 1000 + math.floor(now[2] / 1000) + remaining
      call('ZADD', registry, string.format('%.0f', moment), member)
    elseif remaining == -1 then
      forget_expiry(registry, values, member)
    end
    return remaining
  elseif name == 'KEYED' then
    local words = {}
    for index = first + 2, last do
      local is_key = string.sub(ARGV[first + 1], index - first - 1, index - first - 1) == 'k'
      words[#words + 1] = is_key and key_at(index) or ARGV[index]
    end
    return call(ARGV[first], unpack(words))
  elseif key then
    return call(name, key, unpack(ARGV, first, last))
  end
  return call(name, unpack(ARGV, first, last))
end

local replies = {1}
at = first_command
for position = 1, count do
  local name, key = ARGV[at], KEYS[tonumber(ARGV[at + 1])]
  local first = at + 3
  local last = at + 2 + tonumber(ARGV[at + 2])
  at = last + 1
  if name == 'HSET' or name == 'SADD' or name == 'ZADD' or name == 'SREM' or name == 'ZREM' then
    replies[position + 1] = call(name, key, unpack(ARGV, first, last))
  else
    replies[position + 1] = carry_out(name, key, first, last)
  end
end
return replies
