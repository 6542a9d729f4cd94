-- shared/foreseeing.lua: finding out before the first write what a later command could meet.
--
-- Nothing takes back what a script has done, so nothing may stop it once it writes. Servers ask
-- for memory, disks and replicas at the first write alone. What is left is looked at here: the
-- type of a key, and what the user may do with it.

-- The error reply with which the script is to end before it writes anything; nil for none.
local hindrance

-- Commands that the user may use, by name: whether on any key.
local allowed = {}

-- An error reply for a command that the user may not use on a key; nil if it is allowed, or where
-- the server cannot tell (before Redis 7.0).
local function denied(name, key, ...)
  local everywhere = allowed[name]
  if everywhere == nil then
    -- Who may use it on this key may use it on any: no pattern is made for it.
    everywhere = not redis.acl_check_cmd or redis.acl_check_cmd(name, '\0', ...)
    allowed[name] = everywhere
  end
  if everywhere or redis.acl_check_cmd(name, key, ...) then
    return nil
  end
  return redis.error_reply('NOPERM this user may not use the command ' .. name .. ' on the key '
    .. key .. '; nothing was written')
end

-- The reply of a reading command. A key of another type holds nothing: nil, and true. Any other
-- error is a hindrance. With `may_be_hidden` a record that the user may not read is none: that is
-- one which nobody declared, found in an index; then also nil, and 'hidden'.
local function reading(may_be_hidden, ...)
  local reply = redis.pcall(...)
  local problem = type(reply) == 'table' and reply.err
  if not problem then
    return reply
  elseif string.find(problem, 'WRONGTYPE', 1, true) then
    return nil, 'another type'
  elseif may_be_hidden then
    return nil, 'hidden'
  end
  local name, key = ...
  hindrance = hindrance or denied(name, key) or redis.error_reply(problem)
  return nil
end
