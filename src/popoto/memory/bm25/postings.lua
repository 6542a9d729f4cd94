-- memory/bm25/postings.lua: from the postings of several terms, the best documents first.
--
-- The threshold algorithm (Fagin, Lotem, Naor 2001). The postings of a term are walked from the one
-- that adds most: of each frequency, the document with the fewest words comes first. Whoever was not
-- met yet adds no more than where the walks stand now. Once that is no better than what was found,
-- the walks end.

local STEP = 2 ^ -32
-- Of the documents of more terms, hardly any can be left out: all are looked at, which costs less then.
local MOST_WALKS = 32
-- A walk reads so many postings at once, and more each time.
local PAGE, LARGEST_PAGE = 32, 1000

-- How many documents were met in longer sets of postings, one by one.
local met_in_longer = 0

-- The next run of postings of one frequency and one number of words, or nil.
local function open_run(term, frequency, below)
  local found = call('ZREVRANGEBYSCORE', term.key, below, '(' .. frequency - 1, 'WITHSCORES',
    'LIMIT', 0, 1)
  if not found[2] then
    return nil
  end
  local length = (frequency - found[2]) / STEP
  return {
    frequency = frequency, score = found[2], offset = 0, size = PAGE,
    adds = term_score(term, frequency, length),
  }
end

-- The first run of every frequency that the postings of a term have.
local function open_walk(term)
  local walk = {term = term, runs = {}}
  local below = '+inf'
  while true do
    local found = call('ZREVRANGEBYSCORE', term.key, below, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if not found[2] then
      return walk
    end
    local frequency = frequency_of(found[2])
    walk.runs[#walk.runs + 1] = open_run(term, frequency, found[2])
    below = frequency - 1
  end
end

-- Note the run of a walk that adds most, and whether another one adds as much.
local function find_top(walk)
  local top, is_shared
  for _, run in ipairs(walk.runs) do
    if not top or run.adds > top.adds then
      top, is_shared = run, false
    elseif run.adds == top.adds then
      is_shared = true
    end
  end
  walk.top, walk.is_shared = top, is_shared
end

local function replace_run(walk, old, new)
  for index, run in ipairs(walk.runs) do
    if run == old then
      if new then
        walk.runs[index] = new
      else
        table.remove(walk.runs, index)
      end
      break
    end
  end
  find_top(walk)
end

-- The next documents of a walk; none where the run has ended, and another one is on top.
local function advance(walk)
  local run = walk.top
  local members = call('ZRANGEBYSCORE', walk.term.key, run.score, run.score, 'LIMIT', run.offset,
    run.size)
  if #members == 0 then
    replace_run(walk, run, open_run(walk.term, run.frequency, '(' .. run.score))
  else
    run.last, run.offset = members[#members], run.offset + #members
    run.size = math.min(2 * run.size, LARGEST_PAGE)
  end
  return members
end

-- The most that a document can score which was not met.
local function bound_of(walks)
  local sum = 0
  for _, walk in ipairs(walks) do
    sum = sum + (walk.top and walk.top.adds or 0)
  end
  return sum
end

-- Whether a document that scores as much as the last of the best would stand behind it, if it was not
-- met: behind a walk, in a run that is in the order of keys.
local function stands_behind(walks, last)
  for _, walk in ipairs(walks) do
    local run = walk.top
    if run and not walk.is_shared and run.last and run.last >= last.member then
      return true
    end
  end
  return false
end

local function highest(walks)
  local found
  for _, walk in ipairs(walks) do
    if walk.top and (not found or walk.top.adds > found.top.adds) then
      found = walk
    end
  end
  return found
end

-- Those of these candidates that may be among the best, with what one more walk adds to each.
-- `rest`: the most that the walks after it add.
local function added_by(walk, candidates, rest)
  local members = {}
  for place, each in ipairs(candidates) do
    members[place] = each.member
  end
  local last, kept = last_of_best(), {}
  local least = last and last.score * (1 - 1e-12)
  for place, posting in ipairs(call('ZMSCORE', walk.term.key, unpack(members))) do
    local each = candidates[place]
    local adds = posting and term_score(walk.term, frequency_of(posting), each.length) or 0
    each.known = each.known + adds
    each.adds[walk.place] = adds
    if not last or each.known + rest >= least then
      kept[#kept + 1] = each
    end
  end
  return kept
end

-- Documents that were not met before, with their lengths and what this walk adds to them.
local function met(from, run, members)
  local fresh = unseen(members)
  met_in_longer = met_in_longer + #fresh
  local candidates = {}
  for place, length in ipairs(fresh[1] and call('ZMSCORE', lengths, unpack(fresh)) or {}) do
    length = tonumber(length or 1)
    local own = term_score(from.term, run.frequency, length)
    candidates[place] = {
      member = fresh[place], length = length, known = own, adds = {[from.place] = own},
    }
  end
  return candidates
end

-- Take documents into account that a walk has come to. They hold no term of which all postings were
-- looked at, and stand behind all other walks: once these cannot lift one among the best, the rest of
-- its postings does not matter.
local function meet(walks, from, run, members, bound)
  local candidates, rest = met(from, run, members), bound - run.adds
  for _, walk in ipairs(walks) do
    if not candidates[1] then
      return
    elseif walk ~= from then
      rest = rest - (walk.top and walk.top.adds or 0)
      candidates = added_by(walk, candidates, math.max(rest, 0))
    end
  end
  for _, each in ipairs(candidates) do
    local sum = 0
    -- In the order of the terms, so that equal documents have equal scores.
    for place = 1, #walks do
      sum = sum + each.adds[place]
    end
    offer(each.member, sum)
  end
end

local function walk_postings(walked)
  local walks = {}
  for index, term in ipairs(walked) do
    walks[index] = open_walk(term)
    walks[index].place = index
    find_top(walks[index])
  end
  local walk, bound = highest(walks), bound_of(walks)
  while walk do
    local last = last_of_best()
    if last and (bound < last.score or bound == last.score and stands_behind(walks, last)) then
      return
    end
    local run, members = walk.top, advance(walk)
    if members[1] then
      meet(walks, walk, run, members, bound)
    end
    walk, bound = highest(walks), bound_of(walks)
  end
end
