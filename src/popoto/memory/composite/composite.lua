-- memory/composite/composite.lua: the records of a query with the highest scores, each score made of
-- those that several signals have for the record.
--
-- KEYS   as query.lua has them; then what the signals name by position
-- ARGV   as query.lua has them (order "any"; offset and limit are those of the ranking), then
--        sum | min | max, now, least total or ""
--        number of signals, signals...: kind, weight, and what the kind takes (signals.lua)
-- Reply  {{{key, {values...}}, ...}, {total, ...}, due, dead}: the records from the highest total
--        down, of equal ones the greatest key first
-- Cost   O(matches) for each signal; without conditions, O(members) of its index

local root = read_node()
local due = expired()
local rule, now, least = take(), take() + 0, take()
local signals = {}
for index = 1, take() + 0 do
  local kind, weight = take(), take() + 0
  local signal = {is = SIGNALS[kind], weight = weight, now = now}
  signal.is.read(signal)
  signals[index] = signal
end

local rules = {
  sum = function(one, other)
    return one + other
  end,
  min = math.min,
  max = math.max,
}
local joined = rules[rule]

-- The candidates, and their totals by key.
local candidates, totals = {}, {}

-- Nothing times infinity, and an infinity less another, is nothing.
local function add(names, values, weight)
  for index = 1, #names do
    local value = values[index]
    if value then
      local name, score = names[index], weight * value
      score = score == score and score or 0
      local total = totals[name]
      if total then
        total = joined(total, score)
        totals[name] = total == total and total or 0
      else
        candidates[#candidates + 1] = name
        totals[name] = score
      end
    end
  end
end

-- The records that the conditions find, each of them once.
local function matches()
  local list = find(root)
  if root.kind == 'set' or root.kind == 'range' then
    return list
  end
  local seen = {}
  return where(list, function(key)
    local is_new = not seen[key]
    seen[key] = true
    return is_new
  end)
end

local list = root.kind ~= 'all' and matches()
for _, signal in ipairs(signals) do
  if list then
    add(list, signal.is.of(signal, list), signal.weight)
  else
    local names, values = signal.is.all(signal)
    add(names, values, signal.weight)
  end
end

local keys_before = open('choosing').keys_before

local function comes_before(one, other)
  local left, right = totals[one], totals[other]
  if left ~= right then
    return left > right
  end
  return keys_before(other, one)
end

-- The best of those that are kept, in order, as far as their records exist.
local living = {}
local function pruned(kept)
  table.sort(kept, comes_before)
  local best = {}
  for index = 1, #kept do
    local key = kept[index]
    if #best == wanted then
      break
    end
    if living[key] == nil then
      living[key] = call('EXISTS', prefix .. key) == 1
      if not living[key] then
        report(key)
      end
    end
    if living[key] then
      best[#best + 1] = key
    end
  end
  return best
end

local function best_of_all()
  local kept, most = {}, 4 * wanted + 64
  local lowest = least ~= '' and number_of(least) or -INFINITE
  for index = 1, #candidates do
    local key = candidates[index]
    if totals[key] >= lowest then
      kept[#kept + 1] = key
      if #kept == most then
        kept = pruned(kept)
        if #kept == wanted then
          lowest = math.max(lowest, totals[kept[wanted]])
        end
      end
    end
  end
  return pruned(kept)
end

local best = best_of_all()
local rows, scores = {}, {}
for index = offset + 1, #best do
  rows[#rows + 1] = record_of(best[index])
  scores[#scores + 1] = string.format('%.17g', totals[best[index]])
end
return {rows, scores, due, dead}
