-- cycles/walking.lua: the way through the index of a cyclic field by which top.lua finds the highest
-- scores. It is made when it is asked for.

local function make_cyclic_walk()
  -- Score these members, unless they are met already.
  local function meet(members, met)
    for place = 1, #members, 1000 do
      local last = math.min(place + 999, #members)
      local touched = call('ZMSCORE', index, unpack(members, place, last))
      for offset = 0, last - place do
        local member = members[place + offset]
        if touched[offset + 1] and not met[member] then
          met[member] = true
          consider(member, factor_of(touched[offset + 1], now, rate))
        end
      end
      prune()
    end
  end

  -- The most that cycles add to any score: nothing, where some have none.
  local function most_resonance()
    local most, seen = 0, {}
    for _, bytes in ipairs(call('HVALS', cycles)) do
      if not seen[bytes] then
        seen[bytes] = true
        most = math.max(most, cached_resonance(bytes))
      end
    end
    return most
  end

  -- What pressure adds, by member, and the most that it adds to any.
  local function pressures()
    local found, strains, most = call('HGETALL', tensions), {}, 0
    for place = 1, #found, 2 do
      local strain = pressure_of(found[place + 1], now)
      strains[found[place]] = strain
      most = math.max(most, strain)
    end
    return strains, most
  end

  -- Meet those under the highest pressure, unless they are very many: they may be the best, and many
  -- others are beaten then. Returns the most that pressure adds to one of the others. Those are told
  -- by counting how many stand in each of so many steps below the most.
  local STEPS = 400

  local function meet_pressed(strains, most, met)
    local function step_of(strain)
      return math.floor(strain / most * STEPS)
    end
    local numbers, total = {}, 0
    for _, strain in pairs(strains) do
      local step = step_of(strain)
      numbers[step] = (numbers[step] or 0) + 1
      total = total + 1
    end
    local step, number = STEPS, 0
    while step > 0 and number < 4 * count + 100 do
      number = number + (numbers[step] or 0)
      step = step - 1
    end
    if number > 20 * count + total / 10 then
      return most
    end
    local pressed, rest = {}, 0
    for member, strain in pairs(strains) do
      if step_of(strain) > step then
        pressed[#pressed + 1] = member
      else
        rest = math.max(rest, strain)
      end
    end
    meet(pressed, met)
    return rest
  end

  -- Of a cyclic field: from the highest factor down, until nobody behind can be better with the most
  -- that cycles and pressure add. Of those before, only what may be among the best is scored: a
  -- page's first member bounds the factors of all. Sums are made in the order of `consider`, so
  -- that what is rounded stays a bound.
  local function walk_cyclic()
    local met, resonance, strains, strain = {}, 0, {}, 0
    if call('HLEN', cycles) + call('HLEN', tensions) <= 1000 then
      -- Nothing is added to all others.
      meet(call('HKEYS', cycles), met)
      meet(call('HKEYS', tensions), met)
    else
      resonance = most_resonance()
      strains, strain = pressures()
      if strain > 0 and strain < math.huge then
        strain = meet_pressed(strains, strain, met)
      end
    end
    local knows_bases = keeps_bases and call('ZCARD', bases) == call('ZCARD', index)
    local base, lowest = base_field == '' and 1 or math.huge, lowest_factor()
    if knows_bases then
      base = tonumber(call('ZREVRANGE', bases, 0, 0, 'WITHSCORES')[2] or 1)
    end
    local first, size = 0, first_size()
    while true do
      local page = call(by_factor, index, first, first + size - 1)
      if not page[1] then
        return 'all'
      end
      local highest = factor_of(call('ZSCORE', index, page[1]), now, rate)
      local decayed = product(base, base < 0 and lowest or highest)
      if worst and decayed + resonance + strain < worst then
        return 'bound'
      end
      local turns = call('HMGET', cycles, unpack(page))
      local weights = knows_bases and call('ZMSCORE', bases, unpack(page))
      for place = 1, #page do
        local member = page[place]
        if not met[member] then
          if weights then
            local weight = tonumber(weights[place] or base)
            decayed = product(weight, weight < 0 and lowest or highest)
          end
          local bound = decayed + cached_resonance(turns[place]) + (strains[member] or 0)
          if not (worst and bound < worst) then
            consider(member, factor_of(call('ZSCORE', index, member), now, rate))
          end
        end
      end
      prune()
      first, size = first + size, next_size(size)
    end
  end

  return walk_cyclic
end
