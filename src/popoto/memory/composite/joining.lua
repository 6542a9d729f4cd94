-- memory/composite/joining.lua: the scores that several signals have for a record become one total, and
-- the best of all are chosen.

local RULES = {
  sum = function(one, other)
    return one + other
  end,
  min = math.min,
  max = math.max,
}

-- The candidates, and their totals by key.
local function new_totals()
  return {keys = {}, of = {}}
end

-- Nothing times infinity, and an infinity less another, is nothing.
local function add(totals, names, values, weight, joined)
  local keys, of = totals.keys, totals.of
  for index = 1, #names do
    local value = values[index]
    if value then
      local name, score = names[index], weight * value
      score = score == score and score or 0
      local total = of[name]
      if total then
        total = joined(total, score)
        of[name] = total == total and total or 0
      else
        keys[#keys + 1] = name
        of[name] = score
      end
    end
  end
end

-- Some of those with high totals, as far as these are above 0.
local function some_of_the_best(totals, number)
  local of, kept, lowest = totals.of, {}, 0
  local function comes_before(one, other)
    return of[one] > of[other]
  end
  for index = 1, #totals.keys do
    local key = totals.keys[index]
    if of[key] > lowest then
      kept[#kept + 1] = key
      if #kept == 4 * number + 64 then
        table.sort(kept, comes_before)
        for place = #kept, number + 1, -1 do
          kept[place] = nil
        end
        lowest = of[kept[number]]
      end
    end
  end
  return kept
end

-- Whether a record exists; of each it is asked once.
local living = {}
local function is_living(key)
  if living[key] == nil then
    living[key] = call('EXISTS', prefix .. key) == 1
    if not living[key] then
      report(key)
    end
  end
  return living[key]
end

-- The place of the greatest finite value times a sign, of a record that exists.
local function place_of_most(names, values, sign)
  local found
  for index = 1, #names do
    local value = values[index]
    if value and math.abs(value) < INFINITE and (not found or sign * value > sign * values[found])
      and living[names[index]] ~= false then
      found = index
    end
  end
  if found and not is_living(names[found]) then
    return place_of_most(names, values, sign)
  end
  return found
end

-- The least and the greatest finite value of the records that exist; nil for none.
local function span_of(names, values)
  local most = place_of_most(names, values, 1)
  if most then
    return {values[place_of_most(names, values, -1)], values[most]}
  end
end

-- Values as parts of a span, from 0 to 1; all 1 where it has one value, or none.
local function scale(values, count, span)
  local low, high = unpack(span or {})
  for index = 1, count do
    local value = values[index]
    if value and low == high then
      values[index] = 1
    elseif value then
      -- The halves of what is very far apart are no infinity.
      local part = (value / 2 - low / 2) / (high / 2 - low / 2)
      values[index] = math.max(0, math.min(1, part))
    end
  end
end

-- What a signal says of a list of records, or of all that it knows.
local function told_by(signal, list)
  if list then
    return list, signal.is.of(signal, list)
  end
  return signal.is.all(signal)
end

-- What signals say of a list of records, or of all that they know.
local function add_signals(totals, signals, list, joined)
  for _, signal in ipairs(signals) do
    local names, values = told_by(signal, list)
    if signal.is_scaled then
      scale(values, #names, signal.span or span_of(names, values))
    end
    add(totals, names, values, signal.weight, joined)
  end
end

-- The best so many in order, as far as their records exist, and the least total that is among them.
local function best_of(totals, number, least)
  local of, keys_before = totals.of, open('choosing').keys_before
  local function comes_before(one, other)
    local left, right = of[one], of[other]
    if left ~= right then
      return left > right
    end
    return keys_before(other, one)
  end
  local function pruned(kept)
    table.sort(kept, comes_before)
    local best = {}
    for index = 1, #kept do
      if #best == number then
        break
      elseif is_living(kept[index]) then
        best[#best + 1] = kept[index]
      end
    end
    return best
  end
  local kept, most, lowest = {}, 4 * number + 64, least
  for index = 1, #totals.keys do
    local key = totals.keys[index]
    if of[key] >= lowest then
      kept[#kept + 1] = key
      if #kept == most then
        kept = pruned(kept)
        lowest = #kept == number and math.max(lowest, of[kept[number]]) or lowest
      end
    end
  end
  kept = pruned(kept)
  return kept, #kept == number and math.max(lowest, of[kept[number]]) or lowest
end

-- Sums of which the best are right, without looking at records that cannot be among them: in the manner of
-- the threshold algorithm (Fagin, Lotem, Naor 2001). Signals of which is not known how much they
-- have at most are read for all records (`open_ended`); the others for those alone that, with
-- the most that those others may add, can reach the best that are known.
-- Returns the totals, or nil and how far it came, where that does not pay.
local function sums_of_the_best(open_ended, limited, list, least)
  local joined, partial = RULES.sum, new_totals()
  add_signals(partial, open_ended, list, joined)
  local universe, marks = list or partial.keys, list and as_marks(list)
  local first = some_of_the_best(partial, 2 * wanted)
  local n = math.max(64, 2 * wanted)
  while n < #universe / 8 or (n == 64 and not list) do
    local totals, rest, picked = new_totals(), 0, {}
    local function pick(key)
      if not picked[key] and (not marks or marks[key]) then
        picked[key] = true
        picked[#picked + 1] = key
      end
    end
    for _, key in ipairs(first) do
      pick(key)
    end
    for _, signal in ipairs(limited) do
      local members, most = signal.is.top(signal, n)
      if not members then
        return nil, partial
      end
      rest = rest + most
      for index = 1, #members do
        pick(members[index])
      end
    end
    local function look_at(keys)
      local known = {}
      for index = 1, #keys do
        known[index] = partial.of[keys[index]] or false
      end
      add(totals, keys, known, 1, joined)
      add_signals(totals, limited, keys, joined)
    end
    look_at(picked)
    local _, lowest = best_of(totals, wanted, least)
    -- Sums are rounded.
    local reach = lowest - rest - 1e-9 * (math.abs(lowest) + math.abs(rest))
    if lowest > -INFINITE and (list or reach > 0) then
      local others = {}
      for index = 1, #universe do
        local key = universe[index]
        if not picked[key] and (partial.of[key] or 0) >= reach then
          others[#others + 1] = key
        end
      end
      if #others <= math.max(500, #universe / 4) then
        look_at(others)
        return totals
      end
    end
    n = n * 8
  end
  return nil, partial
end
