-- decay/scoring.lua: what top.lua is given, and members that are taken into account.

local call = redis.call
local index, bases, order, members, notes, cycles, tensions = unpack(KEYS)
local prefix, now, rate, count = ARGV[1], ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0
local base_field, keeps_bases = ARGV[5], ARGV[6] == '1'

-- Calls read so many members at a time, and more each time.
local function first_size()
  return math.max(2 * count, 64)
end

local function next_size(size)
  return math.min(2 * size, 2000)
end

-- What was found: {member, score}, and the keys of records that are gone.
local best, gone = {}, {}

-- How many scores were computed.
local scored = 0

-- By the bytes of cycles what they add now: most records have those that were declared.
local resonances = {}

local function cached_resonance(bytes)
  local found = not bytes and 0 or resonances[bytes]
  if not found then
    found = resonance_of(bytes, now)
    resonances[bytes] = found
  end
  return found
end

-- The worst score of the best that were known when `best` was pruned last; nil for too few.
local worst

-- Take a member into account, unless its record is gone.
local function consider(member, factor)
  local key, base, bytes = prefix .. member, 1, nil
  if base_field ~= '' then
    bytes = call('HGET', key, base_field)
    base = base_of(bytes)
  end
  local score = product(base, factor)
  if cycles then
    score = score + cached_resonance(call('HGET', cycles, member))
      + pressure_of(call('HGET', tensions, member), now)
  end
  scored = scored + 1
  if worst and score < worst then
    return
  elseif not bytes and call('EXISTS', key) == 0 then
    gone[#gone + 1] = member
  else
    best[#best + 1] = {member = member, score = score}
  end
end

local function prune()
  table.sort(best, comes_before)
  for place = #best, count + 1, -1 do
    best[place] = nil
  end
  worst = best[count] and best[count].score
end
