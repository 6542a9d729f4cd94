-- decay/walking.lua: the ways through an index by which top.lua finds the highest scores. Each
-- returns a word for where it ended.

-- From the member with the highest factor down.
local by_factor = rate < 0 and 'ZRANGE' or 'ZREVRANGE'

local function lowest_factor()
  local last = call(by_factor, index, -1, -1, 'WITHSCORES')
  return last[2] and factor_of(last[2], now, rate)
end

-- Without a base: until there are enough, and nobody has the score of the last one any more.
local function walk()
  local first, size = 0, first_size()
  while true do
    local page = call(by_factor, index, first, first + size - 1, 'WITHSCORES')
    for place = 1, #page, 2 do
      local factor = factor_of(page[place + 1], now, rate)
      if #best >= count and factor < best[count].score then
        return 'bound'
      end
      consider(page[place], factor)
    end
    if #page < 2 * size then
      return 'all'
    end
    first, size = first + size, next_size(size)
  end
end

-- Where very many share the highest score, the lesser keys win: walk along the order of keys.
-- Nothing where that does not give as many as are wanted.
local function walk_keys(tied)
  if tied < 4 * count + 500 or call('ZCARD', order) < call('SCARD', members) then
    return nil
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
          return 'keys'
        end
      end
    end
    looked_at = looked_at + #page
    first, size = first + size, next_size(size)
  end
  best, gone = {}, {}
  return nil
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
      return 'all'
    end
    first, size = first + size, next_size(size)
  end
end

-- Along factors and bases at once, until nobody that neither walk has met can be better.
local function walk_both()
  local lowest = lowest_factor()
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
      return 'all'
    end
    local base, factor = tonumber(highest[#highest]), factor_of(latest[#latest], now, rate)
    if #best == count and best[count].score > product(base, base < 0 and lowest or factor) then
      return 'bound'
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
  return 'asked'
end
