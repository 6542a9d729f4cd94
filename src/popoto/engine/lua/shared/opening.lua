-- shared/opening.lua: parts of a script that are made when a call first needs them. To make a
-- function takes a server 0.1 us, and every call begins with making all that it has at hand.

-- What makes each part, a table of functions, by name; assigned when all are known.
local parts

local opened = {}

local function open(name)
  local part = opened[name]
  if not part then
    part = parts[name]()
    opened[name] = part
  end
  return part
end
