-- memory/bm25/best.lua: the documents with the highest scores so far; of equal ones the lesser keys.

local most = wanted
-- Each {member, score}, best first.
local best = {}
local seen = {}

-- Those of these documents that were not met before; from now on they were.
local function unseen(members)
  local fresh = {}
  for _, member in ipairs(members) do
    if not seen[member] then
      seen[member] = true
      fresh[#fresh + 1] = member
    end
  end
  return fresh
end

local function comes_before(score, member, other)
  return score > other.score or (score == other.score and member < other.member)
end

-- The score that a document has to reach, if `most` are found.
local function last_of_best()
  return best[most]
end

-- Whether a record is there and matches the query; asked of those alone that would be found.
local function matches(member)
  if call('EXISTS', prefix .. member) == 0 then
    report(member)
    return false
  end
  return not condition or #filter(condition, {member}) == 1
end

local function offer(member, score)
  local last = last_of_best()
  if last and not comes_before(score, member, last) or not matches(member) then
    return
  end
  local low, high = 1, #best + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if comes_before(score, member, best[middle]) then
      high = middle
    else
      low = middle + 1
    end
  end
  table.insert(best, low, {member = member, score = score})
  best[most + 1] = nil
end
