-- query/lists.lua: working on lists of record keys.

local function in_chunks(list, work)
  for first = 1, #list, CHUNK do
    work(first, math.min(first + CHUNK - 1, #list))
  end
end

-- A list, and behind it the other one.
local function followed(list, other)
  for index = 1, #other do
    list[#list + 1] = other[index]
  end
  return list
end

local function as_marks(list)
  local marks = {}
  for index = 1, #list do
    marks[list[index]] = true
  end
  return marks
end

local function where(list, passes)
  local kept = {}
  for index = 1, #list do
    if passes(list[index]) then
      kept[#kept + 1] = list[index]
    end
  end
  return kept
end

local function where_marked(list, marks)
  return where(list, function(key)
    return marks[key] == true
  end)
end

-- Those of a list for which a command that takes many members replies what passes.
local function where_replied(list, command, key, passes)
  local kept = {}
  in_chunks(list, function(first, last)
    local replies = call(command, key, unpack(list, first, last))
    for index = 1, #replies do
      if passes(replies[index]) then
        kept[#kept + 1] = list[first + index - 1]
      end
    end
  end)
  return kept
end
