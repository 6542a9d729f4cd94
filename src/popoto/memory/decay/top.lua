-- memory/decay/top.lua: the records of an index with the highest scores, and what they hold.
--
-- KEYS   index    sorted set of record keys by the moment of the last touch
--        bases    sorted set of the same keys by base score (anything where there is none)
--        order    the model's record keys, in order
--        members  the model's record keys, as a set
--        notes    what records with an expiry have left, by record key
--        cycles, pressure   of a cyclic field: hashes by record key
-- ARGV   prefix   put before a record key (cluster hash tag, or "")
--        now, decay rate, how many
--        base field or "", "1" where `bases` is kept for it
--        number of hash fields, hash fields..., number of list fields, list fields...
--        number of candidates, candidates...   -1: every member of the index
-- Reply  {{{key, score, {values...}, ...}, ...}, {key, note, ...}}: the records, then those that
--        are gone, as far as they were met
-- Cost   O(members) of a cyclic field. Of others, without a base, O(log n) and the answer, ties included: the walk starts where scores are
--        highest. With `bases`, two walks that end once nobody behind them can be better (the
--        threshold algorithm: Fagin, Lotem, Naor 2001). Else O(members).

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

-- Take a member into account, unless its record is gone.
local function consider(member, factor)
  local key, base = prefix .. member, 1
  if base_field ~= '' then
    local bytes = call('HGET', key, base_field)
    if not bytes and call('EXISTS', key) == 0 then
      gone[#gone + 1] = member
      return
    end
    base = base_of(bytes)
  elseif call('EXISTS', key) == 0 then
    gone[#gone + 1] = member
    return
  end
  local score = product(base, factor)
  if cycles then
    score = score + resonance_of(call('HGET', cycles, member), now)
      + pressure_of(call('HGET', tensions, member), now)
  end
  best[#best + 1] = {member = member, score = score}
end

local function prune()
  table.sort(best, comes_before)
  for place = #best, count + 1, -1 do
    best[place] = nil
  end
end

-- From the member with the highest factor down.
local by_factor = rate < 0 and 'ZRANGE' or 'ZREVRANGE'

-- Without a base: until there are enough, and nobody has the score of the last one any more.
local function walk()
  local first, size = 0, first_size()
  while true do
    local page = call(by_factor, index, first, first + size - 1, 'WITHSCORES')
    for place = 1, #page, 2 do
      local factor = factor_of(page[place + 1], now, rate)
      if #best >= count and factor < best[count].score then
        return
      end
      consider(page[place], factor)
    end
    if #page < 2 * size then
      return
    end
    first, size = first + size, next_size(size)
  end
end

-- Where very many share the highest score, the lesser keys win: walk along the order of keys.
-- Returns whether that gave as many as are wanted.
local function walk_keys(tied)
  if tied < 4 * count + 500 or call('ZCARD', order) < call('SCARD', members) then
    return false
  end
  local highest = factor_of(now, now, rate)
  local first, size, looked_at = 0, first_size(), 0
  while looked_at < tied do
    local page = call('ZRANGE', order, first, first + size - 1)
    if #page == 0 then
      break
    end
    local touched = call('ZMSCORE', index, unpack(page))
    for place = 1, #page do
      if touched[place] and factor_of(touched[place], now, rate) == highest then
        consider(page[place], highest)
        if #best == count then
          return true
        end
      end
    end
    looked_at = looked_at + #page
    first, size = first + size, next_size(size)
  end
  best, gone = {}, {}
  return false
end

local function number_of_tied()
  if rate == 0 then
    return call('ZCARD', index)
  end
  local latest = string.format('%.17g', now - SHORTEST * SECONDS_PER_DAY)
  return rate > 0 and call('ZCOUNT', index, latest, '+inf') or 0
end

-- Everybody, with or without a base.
local function look_at_all()
  local first, size = 0, first_size()
  while true do
    local page = call(by_factor, index, first, first + size - 1, 'WITHSCORES')
    for place = 1, #page, 2 do
      consider(page[place], factor_of(page[place + 1], now, rate))
    end
    prune()
    if #page < 2 * size then
      return
    end
    first, size = first + size, next_size(size)
  end
end

-- Along factors and bases at once, until nobody that neither walk has met can be better.
local function walk_both()
  local worst = call(by_factor, index, -1, -1, 'WITHSCORES')
  local lowest = worst[2] and factor_of(worst[2], now, rate)
  local met = {}
  local function meet(member, touched)
    if touched and not met[member] then
      met[member] = true
      consider(member, factor_of(touched, now, rate))
    end
  end
  local first, size = 0, first_size()
  while true do
    local latest = call(by_factor, index, first, first + size - 1, 'WITHSCORES')
    local highest = call('ZREVRANGE', bases, first, first + size - 1, 'WITHSCORES')
    for place = 1, #latest, 2 do
      meet(latest[place], latest[place + 1])
    end
    for place = 1, #highest, 2 do
      meet(highest[place], call('ZSCORE', index, highest[place]))
    end
    prune()
    if #latest < 2 * size or #highest < 2 * size then
      return
    end
    local base, factor = tonumber(highest[#highest]), factor_of(latest[#latest], now, rate)
    if #best == count and best[count].score > product(base, base < 0 and lowest or factor) then
      return
    end
    first, size = first + size, next_size(size)
  end
end

local function look_at_candidates(first)
  for place = first, #ARGV, 1000 do
    local last = math.min(place + 999, #ARGV)
    local touched = call('ZMSCORE', index, unpack(ARGV, place, last))
    for offset = 0, last - place do
      if touched[offset + 1] then
        consider(ARGV[place + offset], factor_of(touched[offset + 1], now, rate))
      end
    end
    prune()
  end
end

local first_field = 8
local last_field = first_field - 1 + ARGV[7]
local first_list = last_field + 2
local last_list = first_list - 1 + ARGV[last_field + 1]

if ARGV[last_list + 1] ~= '-1' then
  look_at_candidates(last_list + 2)
elseif cycles then
  look_at_all()
elseif base_field == '' then
  if not walk_keys(number_of_tied()) then
    walk()
  end
elseif keeps_bases and call('ZCARD', bases) == call('ZCARD', index) then
  walk_both()
else
  look_at_all()
end
prune()

local rows, dead = {}, {}
for place = 1, #best do
  local key = prefix .. best[place].member
  local row = {best[place].member, string.format('%.17g', best[place].score), {}}
  if last_field >= first_field then
    row[3] = call('HMGET', key, unpack(ARGV, first_field, last_field))
  end
  for list = first_list, last_list do
    row[#row + 1] = call('LRANGE', key .. '::' .. ARGV[list], 0, -1)
  end
  rows[place] = row
end
for place = 1, math.min(#gone, 500) do
  dead[#dead + 1] = gone[place]
  dead[#dead + 1] = call('HGET', notes, gone[place]) or ''
end
return {rows, dead}
