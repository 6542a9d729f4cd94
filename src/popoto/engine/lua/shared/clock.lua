-- shared/clock.lua: the server's time, in milliseconds as expiries count them.

local function milliseconds()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- Lua writes large numbers as 1.7e+12.
local function whole(number)
  return string.format('%.0f', number)
end
