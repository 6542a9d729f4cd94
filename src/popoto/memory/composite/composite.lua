-- memory/composite/composite.lua: the records of a query with the highest scores, each score made of
-- those that several signals have for the record.
--
-- KEYS   as query.lua has them; then what the signals name by position
-- ARGV   as query.lua has them (order "any"; offset and limit are those of the ranking), then
--        sum | min | max, now, least total or "",
--        "" | own | asked | told: each index counts as it is; from 0 to 1 by the least and the greatest
--               that it has here; these are all that is asked for; or they follow behind each signal
--               ("", "" for none)
--        number of signals, signals...: kind, weight, and what the kind takes (signals.lua)
-- Reply  {{{key, {values...}}, ...}, {total, ...}, due, dead}: the records from the highest total
--        down, of equal ones the greatest key first; asked: {{least, greatest} or {}, ...}, due, dead
-- Cost   O(matches) for each signal; without conditions, O(members) of its index. Of many, those
--        signals are read for few records that are sorted, or are confidences (joining.lua). Where
--        all signals name their records, O(of these)

local root = read_node()
local due = expired()
local rule, now, least = take(), take() + 0, take()
local span = take()
local is_normal = span ~= ''
local signals, all_named = {}, true
for index = 1, take() + 0 do
  local kind, weight = take(), take() + 0
  local signal = {is = SIGNALS[kind], weight = weight, now = now}
  signal.is.read(signal)
  if span == 'told' then
    signal.span = {tonumber(take()), tonumber(take())}
  end
  signals[index] = signal
  all_named = all_named and signal.is.named
end

-- Those of the records that signals name which the conditions find.
local function named_matches()
  local named = new_totals()
  for _, signal in ipairs(signals) do
    local names, values = signal.is.all(signal)
    add(named, names, values, 1, RULES.max)
  end
  return filter(root, named.keys)
end

-- The records that the conditions find, each of them once.
local function matches()
  if all_named then
    return named_matches()
  end
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

-- Signals that cannot be known to be small come first.
local open_ended, limited = {}, {}
for _, signal in ipairs(signals) do
  signal.is_scaled = is_normal and not signal.is.named
  local kind = signal.is.top and rule == 'sum' and not is_normal and limited or open_ended
  kind[#kind + 1] = signal
end

local list = root.kind ~= 'all' and matches()
local size = list and #list or size_of_class()
least = least ~= '' and number_of(least) or -INFINITE

if span == 'asked' then
  local spans = {}
  for index, signal in ipairs(signals) do
    local found = signal.is_scaled and span_of(told_by(signal, list)) or {}
    spans[index] = {}
    for place, value in ipairs(found) do
      spans[index][place] = string.format('%.17g', value)
    end
  end
  return {spans, due, dead}
end

local totals, partial
if #limited > 0 and size > 1000 and size > 20 * wanted then
  totals, partial = sums_of_the_best(open_ended, limited, list, least)
end
if not totals then
  totals = partial or new_totals()
  if not partial then
    add_signals(totals, open_ended, list, RULES[rule])
  end
  add_signals(totals, limited, list, RULES[rule])
end

local best = best_of(totals, wanted, least)
local rows, scores = {}, {}
for index = offset + 1, #best do
  rows[#rows + 1] = record_of(best[index])
  scores[#scores + 1] = string.format('%.17g', totals.of[best[index]])
end
return {rows, scores, due, dead}
