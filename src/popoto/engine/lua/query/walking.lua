-- query/walking.lua: walking the ordering sorted set, or a range of it, from one end, testing each
-- member, until enough matches are found.
--
-- Members of one score come in ascending order of their keys, or all is turned round.

local function make_walking()
  local function new_walk(range, others)
    return {
      range = range, others = others, found = {}, tested = 0, start = 0,
      step = math.max(32, math.min(CHUNK, wanted * 2)),
    }
  end

  -- Take over those members that match; true once there are enough.
  local function test(walk, list)
    walk.tested = walk.tested + #list
    for _, node in ipairs(walk.others) do
      list = filter(node, list)
    end
    list = alive(list)
    for index = 1, #list do
      walk.found[#walk.found + 1] = list[index]
    end
    return #walk.found >= wanted
  end

  -- The next members. By rank where the whole set is walked: that finds its place in O(log n).
  local function read(walk, ...)
    local verb = reverse and 'ZREVRANGE' or 'ZRANGE'
    local range, start = walk.range, walk.start
    if not range then
      return call(verb, order_key, start, start + walk.step - 1, ...)
    end
    local low, high = range.min, range.max
    if reverse then
      low, high = high, low
    end
    local words = {verb .. 'BYSCORE', order_key, low, high, ...}
    for _, word in ipairs({'LIMIT', start, walk.step}) do
      words[#words + 1] = word
    end
    return call(unpack(words))
  end

  local function go_on(walk, members)
    walk.start = walk.start + members
    walk.step = math.min(CHUNK, walk.step * 4)
  end

  -- Where the sorted set has the members of one score in the order that is wanted.
  local function walk_straight(walk, patience)
    while walk.tested <= patience do
      local members = read(walk)
      if #members == 0 or test(walk, members) then
        return walk.found
      end
      go_on(walk, #members)
    end
    return nil
  end

  -- The members of one score, against the direction of the walk: how many, and whether they do.
  local function test_group(walk, score)
    local verb = reverse and 'ZRANGEBYSCORE' or 'ZREVRANGEBYSCORE'
    local position = 0
    while true do
      local members = call(verb, order_key, score, score, 'LIMIT', position, CHUNK)
      if #members == 0 then
        return position, false
      elseif test(walk, members) then
        return position, true
      end
      position = position + #members
    end
  end

  -- Members and scores as read, with each group of one score turned round. The last group may be
  -- cut off: it is left out unless the set ends there. Second, where the last group begins.
  local function turned_groups(chunk, is_end)
    local members, list, first = #chunk / 2, {}, 1
    local function turn(last)
      for index = last, first, -1 do
        list[#list + 1] = chunk[index * 2 - 1]
      end
    end
    for index = 2, members do
      local score, last = chunk[index * 2], chunk[index * 2 - 2]
      -- "-0" and "0" are one score, and stand among each other.
      if score ~= last and bound(score) ~= bound(last) then
        turn(index - 1)
        first = index
      end
    end
    if is_end then
      turn(members)
    end
    return list, first
  end

  -- Where the members of one score are wanted in the opposite order.
  local function walk_by_groups(walk, patience)
    while walk.tested <= patience do
      local chunk = read(walk, 'WITHSCORES')
      local is_end = #chunk / 2 < walk.step
      local list, first = turned_groups(chunk, is_end)
      local members, enough = first - 1, false
      if first == 1 and not is_end then
        -- One score fills the chunk.
        members, enough = test_group(walk, chunk[2])
      else
        enough = test(walk, list)
      end
      if enough or is_end then
        return walk.found
      end
      go_on(walk, members)
    end
    return nil
  end

  -- The matches in order, or nil when that takes longer than finding all of them would.
  local function walk_along(range, others, patience)
    local walk = new_walk(range, others)
    if reverse == ties_reversed then
      return walk_straight(walk, patience)
    end
    return walk_by_groups(walk, patience)
  end

  -- Try to answer by walking; nil where that does not pay. Second, whether the sorted set lacks some
  -- records, so that there may be further matches: nil then too, unless the caller takes a part.
  local function walked(root, range, others, takes_part)
    local members = range and size(range) or call('ZCARD', order_key)
    local is_partial = not range and (may_lack or members ~= call('SCARD', CLASS))
    if is_partial and not takes_part then
      return nil
    end
    local matching = math.max(size(root), 1)
    if matching >= members then
      return walk_along(range, others, INFINITE), is_partial
    elseif wanted * members < matching * matching then
      return walk_along(range, others, math.max(matching, CHUNK)), is_partial
    end
    return nil
  end

  return {walked = walked}
end
