-- memory/bm25/postings.lua: from the postings of several terms, the best documents first.
--
-- The threshold algorithm (Fagin, Lotem, Naor 2001). The postings of a term are walked from the one
-- that adds most: of each frequency, the document with the fewest words comes first. Whoever was not
-- met yet adds no more than where the walks stand now. Once that is no better than what was found,
-- the walks end.

local STEP = 2 ^ -32
-- A walk reads so many postings at once, and more each time.
local PAGE, LARGEST_PAGE = 32, 1000

-- The next run of postings of one frequency and one number of words, or nil.
local function open_run(term, frequency, below)
  local found = call('ZREVRANGEBYSCORE', term.key, below, '(' .. frequency - 1, 'WITHSCORES',
    'LIMIT', 0, 1)
  if not found[2] then
    return nil
  end
  local length = (frequency - found[2]) / STEP
  return {
    frequency = frequency, score = found[2], members = {}, at = 1, offset = 0, size = PAGE,
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

-- The next document of a walk; nil where the run has ended, and another one is on top.
local function advance(walk)
  local run = walk.top
  if run.at > #run.members then
    run.members = not run.is_done
      and call('ZRANGEBYSCORE', walk.term.key, run.score, run.score, 'LIMIT', run.offset, run.size)
      or {}
    run.is_done = #run.members < run.size
    run.at, run.offset = 1, run.offset + #run.members
    run.size = math.min(2 * run.size, LARGEST_PAGE)
    if #run.members == 0 then
      replace_run(walk, run, open_run(walk.term, run.frequency, '(' .. run.score))
      return nil
    end
  end
  run.last = run.members[run.at]
  run.at = run.at + 1
  return run.last
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

-- Take a document into account that a walk has come to. It holds no term of which all postings were
-- looked at, and stands behind all other walks: once these cannot lift it among the best, the rest of
-- its postings does not matter.
local function meet(walks, from, run, member, bound)
  local last = last_of_best()
  local length = tonumber(call('ZSCORE', lengths, member) or 1)
  local own = term_score(from.term, run.frequency, length)
  local potential, sum = bound - run.adds + own, 0
  for _, walk in ipairs(walks) do
    if walk == from then
      sum = sum + own
    else
      local posting, adds = call('ZSCORE', walk.term.key, member), 0
      if posting then
        adds = term_score(walk.term, frequency_of(posting), length)
        sum = sum + adds
      end
      potential = potential - (walk.top and walk.top.adds or 0) + adds
      if last and potential < last.score * (1 - 1e-12) then
        return
      end
    end
  end
  offer(member, sum)
end

local function walk_postings(walked)
  local walks = {}
  for index, term in ipairs(walked) do
    walks[index] = open_walk(term)
    find_top(walks[index])
  end
  local walk, bound = highest(walks), bound_of(walks)
  while walk do
    local last = last_of_best()
    if last and (bound < last.score or bound == last.score and stands_behind(walks, last)) then
      return
    end
    local run, member = walk.top, advance(walk)
    if not member then
      walk, bound = highest(walks), bound_of(walks)
    elseif not seen[member] then
      seen[member] = true
      meet(walks, walk, run, member, bound)
    end
  end
end
