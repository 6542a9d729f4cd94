-- query/ordering.lua: the matches in each order that can be asked for: by a walk along the ordering sorted
-- set where that pays, otherwise by sorting all of them.

local function make_key_order()
  -- Whether the sorted set of record keys may stand for the class set. popoto 1.6 keeps the
  -- one and not the other, so equal sizes prove nothing where both write: small sets are
  -- always read, of large ones some members are looked up.
  local function keys_are_covered()
    if not order_key or call('SCARD', CLASS) <= trust then
      return false
    end
    local sample = call('SRANDMEMBER', CLASS, 8)
    for _, score in ipairs(call('ZMSCORE', order_key, unpack(sample))) do
      if not score then
        return false
      end
    end
    return true
  end

  return {
    find = function(root)
      local list = keys_are_covered() and open('walking').walked(root, nil, {root})
      if list then
        return list
      end
      list = alive(find(root))
      if #list < 2 then
        return list
      end
      local choosing = open('choosing')
      return choosing.smallest(list, wanted, choosing.keys_before)
    end,
  }
end

local function make_score_order()
  local choosing = open('choosing')
  -- A record without an entry is null.
  local nulls_last = (order ~= 'nulls_first') ~= ties_reversed

  -- The root, or a child of it, that is a range of the ordering sorted set; and the other conditions.
  local function ordered_range(root)
    if root.kind == 'range' and root.key == order_key then
      return root, {}
    end
    for index, child in ipairs(root.kind == 'and' and root.children or {}) do
      if child.kind == 'range' and child.key == order_key then
        local others = {}
        for other, node in ipairs(root.children) do
          if other ~= index then
            others[#others + 1] = node
          end
        end
        return child, others
      end
    end
    return nil, {root}
  end

  local function scores_of(list)
    local scores = {}
    in_chunks(list, function(first, last)
      local replies = call('ZMSCORE', order_key, unpack(list, first, last))
      for index = 1, #replies do
        scores[list[first + index - 1]] = replies[index] and bound(replies[index]) or nil
      end
    end)
    return scores
  end

  local function sort_by_score(list)
    local scores = scores_of(list)
    return choosing.smallest(list, math.min(wanted, #list), function(left, right)
      local a, b = scores[left], scores[right]
      if a == b then
        return choosing.keys_before(left, right)
      elseif a == nil or b == nil then
        return (b == nil) == nulls_last
      elseif reverse then
        return a > b
      end
      return a < b
    end)
  end

  -- The first of the matches that are null.
  local function nulls_of(root)
    local list = alive(where_replied(find(root), 'ZMSCORE', order_key, function(score)
      return not score
    end))
    return choosing.smallest(list, math.min(wanted, #list), choosing.keys_before)
  end

  -- Whether some score is too large to tell its value from its neighbours.
  local function is_inexact()
    for _, place in ipairs({0, -1}) do
      local score = call('ZRANGE', order_key, place, place, 'WITHSCORES')[2]
      local value = score and math.abs(bound(score))
      if value and value >= exact_to and value < INFINITE then
        return true
      end
    end
    return false
  end

  return {
    is_inexact = is_inexact,
    find = function(root)
      if root.kind == 'range' and root.key == order_key and wanted == INFINITE and not reverse then
        return alive(find(root))
      end
      local range, others = ordered_range(root)
      local list, is_partial = open('walking').walked(root, range, others, true)
      if not list then
        return sort_by_score(alive(find(root)))
      elseif not is_partial or (nulls_last and #list >= wanted) then
        return list
      end
      local nulls = nulls_of(root)
      return nulls_last and followed(list, nulls) or followed(nulls, list)
    end,
  }
end

-- The nearest first, whichever condition was looked at first; what is in no circle comes last.
local function make_found_order()
  local choosing = open('choosing')

  local function nearer(left, right)
    local a, b = places[left] or INFINITE, places[right] or INFINITE
    if a == b then
      return choosing.keys_before(left, right)
    elseif ties_reversed then
      return a > b
    end
    return a < b
  end

  return {
    find = function(root)
      local list = alive(find(root))
      return choosing.smallest(list, math.min(wanted, #list), nearer)
    end,
  }
end

local function make_no_order()
  return {
    find = function(root)
      local list = alive(find(root))
      return ties_reversed and {list[#list]} or list
    end,
  }
end
