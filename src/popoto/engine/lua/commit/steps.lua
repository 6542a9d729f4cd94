-- commit/steps.lua: the guards and commands of our own, by name.
--
-- Extended scripts (engine/scripts.py) add theirs to MAKERS and LOOKS, in parts that follow this one.

-- What carries out each guard and each command of our own. What most calls do not need is made
-- when it is first asked for, together with others: to make a function takes a server 0.1 us.
local STEPS = {absent = absent, exists = exists, holds = holds, ENTER = enter}
local MAKERS = {
  claim = make_claims, slot = make_claims, addable = make_sums,
  LEAVE = make_leaving, RETIRE = make_retiring, FORGET = make_retiring,
  HDELIF = make_claims, SLOT = make_claims, ADD = make_sums,
  MOVE = make_moving, CARRY = make_moving, KEYED = make_moving,
  ['EXPIRE-IN'] = make_expiring, ['EXPIRE-AT'] = make_expiring, ['EXPIRE-AS-IS'] = make_expiring,
  FOLLOW = make_following, RESCHEDULE = make_following,
}

-- The step of this name; nil: a command of the server.
local function step_named(name)
  local step = STEPS[name]
  if not step and MAKERS[name] then
    step = MAKERS[name]()[name]
    STEPS[name] = step
  end
  return step
end
