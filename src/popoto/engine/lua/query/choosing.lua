-- query/choosing.lua: the order of record keys, and the first few of a list in some order.

local function make_choosing()
  -- Lua compares text by the server's locale; record keys are ordered by bytes.
  local function by_bytes(left, right)
    return left < right
  end
  if 'a' < 'B' or 'é' < 'z' then
    by_bytes = function(left, right)
      local size = math.min(#left, #right)
      for index = 1, size do
        local a, b = string.byte(left, index), string.byte(right, index)
        if a ~= b then
          return a < b
        end
      end
      return #left < #right
    end
  end

  -- Keys with equal values, and the order of keys itself.
  local function keys_before(left, right)
    if ties_reversed then
      return by_bytes(right, left)
    end
    return by_bytes(left, right)
  end

  -- Put the top of a heap, whose last element comes first, into its place.
  local function sink(heap, index, before)
    while true do
      local child = index * 2
      if child > #heap then
        return
      end
      if child < #heap and before(heap[child], heap[child + 1]) then
        child = child + 1
      end
      if not before(heap[index], heap[child]) then
        return
      end
      heap[index], heap[child] = heap[child], heap[index]
      index = child
    end
  end

  -- The first `count` of a list in order, by a bounded heap where that is cheaper than sorting.
  local function smallest(list, count, before)
    if count * 8 >= #list then
      table.sort(list, before)
      return list
    end
    local heap = {}
    for index = 1, count do
      heap[index] = list[index]
    end
    for index = math.floor(count / 2), 1, -1 do
      sink(heap, index, before)
    end
    for index = count + 1, #list do
      if before(list[index], heap[1]) then
        heap[1] = list[index]
        sink(heap, 1, before)
      end
    end
    table.sort(heap, before)
    return heap
  end

  return {smallest = smallest, keys_before = keys_before}
end
