-- memory/recall/recall.lua: candidates for a recall, and what words and memory say of each.
--
-- KEYS   as search.lua; then what the signals name
-- ARGV   as query.lua (order: any; its limit is how many candidates words bring), then
--        best | rare | each | size   the records that answer best; those that rare words bring; every
--               one of these that the conditions find: number of keys, keys...; or what there is
--        stem   position in KEYS of the index's stem, 0 for none; mark, k1, b, as in search.lua
--        sweeps "1": records that are past their time are only reported, as they would count
--        0, or how many follow: documents and words of all shards, how many records the conditions
--               find in these at most, how many of their documents hold each term. Then what words tell,
--               and which of them bring candidates, follows from these
--        number of groups, each: number of terms, terms...   The terms of a group are forms of one
--               word of the question, and tell as much as the word does, however it is written
--        now, number of signals, signals...: kind, weight, and what the kind takes (signals.lua)
-- Reply  {documents, average, {holders of each group...},
--        {{key, {values...}, words, length or "", {signal or "", ...}, score that it was chosen by}, ...},
--        due, dead, 1 where other words would bring no more};
--        size: {"size", {documents, average, holders of each term...}, how many records the conditions
--        find at most, -1 where each has to be looked at};
--        {"due", due}; {"form", mark that was found}
-- Cost   best: as search.lua; and O(candidates) for each term and each signal.

local FEW = 1000
local FEW_CANDIDATES = 1000
local COMMON_SHARE = 0.2

local root = read_node()
local due = expired()
local wanted_is = take()
local given = wanted_is == 'each' and take_list()
local stem, mark = take_key(), take()
k1, b = take() + 0, take() + 0
if take() == '1' and #due > 0 then
  return {'due', due}
end
local whole = take_list()

-- Read the index.
local number, postings, holders_of = 0, 0, {}
local sizes_told = {0, 0}
if stem then
  lengths = stem .. ':dl'
  local found_mark = call('GET', stem .. ':analyzer') or ''
  if found_mark ~= mark and call('ZCARD', lengths) > 0 then
    return {'form', found_mark}
  end
  sizes_told = {call('GET', stem .. ':n') or 0, call('GET', stem .. ':avgdl') or 0}
  number, average = tonumber(sizes_told[1]) or 0, tonumber(sizes_told[2]) or 0
  -- It is kept with 14 digits; that of a whole number of words is told exactly.
  average = number > 0 and math.floor(average * number + 0.5) / number or average
end
if whole[1] then
  number = whole[1] + 0
  average = number > 0 and whole[2] / number or 0
end
if not average or average <= 0 then
  average = 1
end

-- Those of the terms that any document holds, in one shard or another.
local known = {}

-- The forms of one word, which are as rare as all of them together.
local function read_group()
  local found, sum = {}, 0
  for _ = 1, take() + 0 do
    local key = stem .. ':inv:' .. take()
    local own = call('ZCARD', key)
    sizes_told[#sizes_told + 1] = own
    local holders = tonumber(whole[#sizes_told + 1] or own)
    if holders > 0 and number > 0 then
      found[#found + 1] = {key = key, holders = holders, is_here = own > 0}
      sum = sum + holders
    end
  end
  sum = math.min(sum, number)
  for _, term in ipairs(found) do
    term.idf = math.log((number - sum + 0.5) / (sum + 0.5) + 1)
    term.place = #known + 1
    known[term.place] = term
    if term.is_here then
      terms[#terms + 1] = term
    end
    postings = postings + term.holders
  end
  return sum
end

for group = 1, take() + 0 do
  holders_of[group] = read_group()
end
if wanted_is == 'size' then
  local candidates = size(root)
  return {'size', sizes_told, root.costly and -1 or candidates}
end
local now, signals = take() + 0, {}
for index = 1, take() + 0 do
  local kind, weight = take(), take() + 0
  local signal = {is = SIGNALS[kind], weight = weight, now = now}
  signal.is.read(signal)
  signals[index] = signal
end

local function meet_all_of(chosen)
  local short, longer = {}, {}
  for _, term in ipairs(chosen) do
    local among = (postings <= FEW or term.holders <= 128) and short or longer
    among[#among + 1] = term
  end
  take_holders(short)
  if #longer > MOST_WALKS then
    take_holders(longer)
  elseif longer[1] then
    walk_postings(longer)
  end
end

-- Rare words bring candidates; common ones do so where the others have not brought enough. What these
-- add to a score is known in the end. Whether others would bring no more.
local function find_best()
  if root.kind == 'keys' or (root.kind ~= 'all' and not condition) then
    take_all(find(root))
    return true
  end
  -- A copy: sums are made in the order of the question, in every call.
  local by_holders = followed({}, known)
  table.sort(by_holders, function(one, other)
    return one.holders < other.holders or one.holders == other.holders and one.place < other.place
  end)
  local rare, common = {}, {}
  for place, term in ipairs(by_holders) do
    local chosen = place > 1 and term.holders > COMMON_SHARE * number and common or rare
    chosen[#chosen + 1] = term.is_here and term or nil
  end
  meet_all_of(rare)
  if wanted_is == 'best' and #best < most then
    meet_all_of(common)
  end
  return wanted_is == 'best'
end

local members, is_all = {}, true
if given then
  members = filter(root, alive(given))
elseif #terms > 0 and most > 0 then
  if root.kind ~= 'all' and root.kind ~= 'keys' then
    local candidates = size(root)
    candidates = tonumber(whole[3] or candidates)
    if root.costly or candidates < 0 or candidates > math.min(postings, FEW_CANDIDATES) then
      condition = root
    end
  end
  is_all = find_best()
  for place, each in ipairs(best) do
    members[place] = each.member
  end
end

local sizes = lengths and sizes_of(members) or {}
local words = sums_of(members, sizes)
local told = {}
for index, signal in ipairs(signals) do
  told[index] = signal.is.of(signal, members)
end
local rows = {}
for place, member in ipairs(members) do
  local record, values = record_of(member), {}
  for index = 1, #signals do
    local value = told[index][place]
    values[index] = value and string.format('%.17g', value) or ''
  end
  record[3], record[4] = string.format('%.17g', words[place]), sizes[place] or ''
  record[5] = values
  record[6] = best[place] and string.format('%.17g', best[place].score) or record[3]
  rows[place] = record
end
return {number, string.format('%.17g', average), holders_of, rows, due, dead, is_all and 1 or 0}
