-- commit/expiring.lua: the registry says when each record ends, and `values` keeps the bytes from
-- which its entries follow, so that they can be removed when it is gone.

local function forget_expiry(registry, values, members)
  if call('ZREM', registry, unpack(members)) > 0 then
    call('HDEL', values, unpack(members))
  end
end

-- (key member) ...
local function members_of(first, last)
  local members = {}
  for index = first + 1, last, 2 do
    members[#members + 1] = ARGV[index]
  end
  return members
end

-- values, then (key member) ...
local function retire(registry, first, last)
  local keys = {}
  for index = first + 1, last, 2 do
    keys[#keys + 1] = key_at(index)
  end
  forget_expiry(registry, key_at(first), members_of(first + 1, last))
  return call('DEL', unpack(keys))
end

local expiring = room(function()

-- amount registry values member companion-count companion-positions... fields...
local function expire(verb, record, amount, first, last)
  local registry, values, member = key_at(first + 1), key_at(first + 2), ARGV[first + 3]
  local first_companion, companions = first + 5, ARGV[first + 4] + 0
  local fields = call('HMGET', record, unpack(ARGV, first_companion + companions, last))
  for index = 1, #fields do
    fields[index] = fields[index] or ''
  end
  local changed = call(verb, record, amount)
  for index = first_companion, first_companion + companions - 1 do
    call(verb, key_at(index), amount)
  end
  local moment = verb == 'PEXPIRE' and milliseconds() + amount or tonumber(amount)
  call('ZADD', registry, whole(moment), member)
  call('HSET', values, member, cmsgpack.pack(fields))
  return changed
end

local function expire_in(record, first, last)
  return expire('PEXPIRE', record, ARGV[first], first, last)
end

local function expire_at(record, first, last)
  return expire('PEXPIREAT', record, ARGV[first], first, last)
end

-- The end stays as it is; what is kept beside the record follows it.
local function expire_as_is(record, first, last)
  local remaining = call('PTTL', record)
  return remaining < 0 and 0 or expire('PEXPIRE', record, remaining, first, last)
end

local function forget(registry, first, last)
  forget_expiry(registry, key_at(first), members_of(first + 1, last))
  return 1
end

local function reschedule(key, first)
  local registry, member = key_at(first), ARGV[first + 2]
  local remaining = call('PTTL', key)
  if remaining >= 0 then
    call('ZADD', registry, whole(milliseconds() + remaining), member)
  elseif remaining == -1 then
    forget_expiry(registry, key_at(first + 1), {member})
  end
  return remaining
end

local function follow(key, first)
  local remaining = call('PTTL', key_at(first))
  return remaining >= 0 and call('PEXPIRE', key, remaining) or 0
end

return {
  ['EXPIRE-IN'] = expire_in, ['EXPIRE-AT'] = expire_at, ['EXPIRE-AS-IS'] = expire_as_is,
  FORGET = forget, RESCHEDULE = reschedule, FOLLOW = follow,
}

end)
