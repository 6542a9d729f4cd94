-- query/scores.lua: scores as the server writes them.

-- The number, and whether "(" excludes it from a range.
local function bound(text)
  local exclusive = string.sub(text, 1, 1) == '('
  if exclusive then
    text = string.sub(text, 2)
  end
  if text == '-inf' then
    return -INFINITE, exclusive
  elseif text == '+inf' or text == 'inf' then
    return INFINITE, exclusive
  end
  return tonumber(text), exclusive
end
