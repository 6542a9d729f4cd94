-- memory/asking.lua: what scripts that write nothing need of shared/foreseeing.lua.

-- The reply of a reading command. A key of another type holds nothing: nil, and true.
local function reading(_, ...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then
    return reply
  elseif string.find(reply.err, 'WRONGTYPE', 1, true) then
    return nil, true
  end
  return redis.call(...)
end
