-- query/near.lua: circles on the map, and the distances of what they hold.

local distances = nil
-- The place of each key that has a distance, the nearest first, and how many there are.
local places, placed = {}, 0

local function distance_of(key)
  return distances and distances[key] or ''
end

local function make_near()
  local near = {}

  function near.read(node)
    node.key = take_key()
    node.mode, node.x, node.y, node.radius, node.unit = take(), take(), take(), take(), take()
  end

  local function near_command(node)
    local from = node.mode == 'member' and {'FROMMEMBER', node.x} or {'FROMLONLAT', node.x, node.y}
    local command = {'GEOSEARCH', node.key, unpack(from)}
    for _, word in ipairs({'BYRADIUS', node.radius, node.unit, 'ASC', 'WITHDIST'}) do
      command[#command + 1] = word
    end
    return command
  end

  function near.find(node)
    if node.list then
      return node.list
    end
    node.list = {}
    if node.mode == 'member' and not call('ZSCORE', node.key, node.x) then
      return node.list
    end
    distances = distances or {}
    for index, pair in ipairs(call(unpack(near_command(node)))) do
      local key = pair[1]
      node.list[index] = key
      if not distances[key] then
        placed = placed + 1
        distances[key], places[key] = pair[2], placed
      end
    end
    return node.list
  end

  function near.size(node)
    return #near.find(node)
  end

  return near
end
