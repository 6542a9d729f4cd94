-- commit/steps.lua: the guards and commands of our own, and the looks at them, by name.
--
-- Extended scripts (engine/scripts.py) add theirs to MAKERS, in parts that follow this one. That
-- too takes time in each call, so calls of one kind have extensions with few parts (memory/commands.py).

-- What carries out each guard and each command of our own. What most calls do not need is made
-- when it is first asked for, together with others: to make a function takes a server 0.1 us.
local STEPS = {absent = absent, exists = exists, holds = holds, ENTER = enter}
local LOOKS = {ENTER = look_at_entries, LEAVE = look_at_entries}
local MAKERS = {
  unreferred = make_referring, claim = make_claims, slot = make_claims, addable = make_sums,
  LEAVE = make_leaving, RETIRE = make_retiring, FORGET = make_retiring,
  HDELIF = make_claims, SLOT = make_claims, ADD = make_sums,
  MOVE = make_moving, CARRY = make_moving, KEYED = make_moving, FILL = make_moving,
  KIND = make_kinds, DEL = make_kinds, UNLINK = make_kinds,
  ['EXPIRE-IN'] = make_expiring, ['EXPIRE-AT'] = make_expiring, ['EXPIRE-AS-IS'] = make_expiring,
  FOLLOW = make_following, RESCHEDULE = make_following, POINT = make_pointing,
  UNPOINT = make_pointing,
}

-- What makers have made.
local parts = {}

-- Find the step and the look of this name.
local function open(name)
  local maker = MAKERS[name]
  local part = parts[maker]
  if not part then
    part = maker()
    parts[maker] = part
  end
  STEPS[name] = part[name]
  LOOKS[name] = LOOKS[name] or part.looks and part.looks[name]
end

-- The step of this name; nil: a command of the server.
local function step_named(name)
  if not STEPS[name] and MAKERS[name] then
    open(name)
  end
  return STEPS[name]
end

-- The look at commands of this name.
local function look_named(name)
  if not LOOKS[name] and MAKERS[name] then
    open(name)
  end
  if not LOOKS[name] then
    LOOKS[name] = make_queued_looks().look
  end
  return LOOKS[name]
end

-- What succeeds on keys of the type alone that a command needs: cheaper than asking for the type.
local ANY = 'any'
local SIZES = {
  SADD = 'SCARD', SREM = 'SCARD', ZADD = 'ZCARD', ZREM = 'ZCARD', GEOADD = 'ZCARD',
  HSET = 'HLEN', HSETNX = 'HLEN', HDEL = 'HLEN', RPUSH = 'LLEN', LPUSH = 'LLEN', LTRIM = 'LLEN',
  XADD = 'XLEN', PERSIST = ANY,
}
