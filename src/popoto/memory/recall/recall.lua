-- memory/recall/recall.lua: candidates for a recall, and what words and memory say of each.
--
-- KEYS   as search.lua; then what the signals name
-- ARGV   as query.lua (order: any; its limit is how many candidates words bring), then
--        best | each   the records that answer best; or every one of these that the conditions find:
--               number of keys, keys...
--        stem   position in KEYS of the index's stem, 0 for none; mark, k1, b, as in search.lua
--        sweeps "1": records that are past their time are only reported, as they would count
--        number of groups, each: number of terms, terms...   The terms of a group are forms of one
--               word of the question, and tell as much as the word does, however it is written
--        now, number of signals, signals...: kind, weight, and what the kind takes (signals.lua)
-- Reply  {documents, average, {holders of each group...},
--        {{key, {values...}, words, length or "", {signal or "", ...}}, ...}, due, dead};
--        {"due", due}; {"form", mark that was found}
-- Cost   best: as search.lua; and O(candidates) for each term and each signal.

local FEW = 1000
local FEW_CANDIDATES = 1000
local COMMON_SHARE = 0.2

local root = read_node()
local due = expired()
local finds_best = take() == 'best'
local given = not finds_best and take_list()
local stem, mark = take_key(), take()
k1, b = take() + 0, take() + 0
if take() == '1' and #due > 0 then
  return {'due', due}
end

-- Read the index.
local number, postings, holders_of = 0, 0, {}
if stem then
  lengths = stem .. ':dl'
  local found_mark = call('GET', stem .. ':analyzer') or ''
  if found_mark ~= mark and call('ZCARD', lengths) > 0 then
    return {'form', found_mark}
  end
  number = tonumber(call('GET', stem .. ':n') or '') or 0
  average = tonumber(call('GET', stem .. ':avgdl') or '') or 0
end
if not average or average <= 0 then
  average = 1
end

-- The forms of one word, which are as rare as all of them together.
local function read_group()
  local found, sum = {}, 0
  for _ = 1, take() + 0 do
    local key = stem .. ':inv:' .. take()
    local holders = call('ZCARD', key)
    if holders > 0 and number > 0 then
      found[#found + 1] = {key = key, holders = holders}
      sum = sum + holders
    end
  end
  sum = math.min(sum, number)
  for _, term in ipairs(found) do
    term.idf = math.log((number - sum + 0.5) / (sum + 0.5) + 1)
    terms[#terms + 1] = term
    postings = postings + term.holders
  end
  return sum
end

for group = 1, take() + 0 do
  holders_of[group] = read_group()
end
local now, signals = take() + 0, {}
for index = 1, take() + 0 do
  local kind, weight = take(), take() + 0
  local signal = {is = SIGNALS[kind], weight = weight, now = now}
  signal.is.read(signal)
  signals[index] = signal
end

local function meet_all_of(chosen)
  local walked = {}
  for _, term in ipairs(chosen) do
    if postings <= FEW or term.holders <= 128 then
      take_all(call('ZRANGE', term.key, 0, -1))
    else
      walked[#walked + 1] = term
    end
  end
  if walked[1] then
    walk_postings(walked)
  end
end

-- Rare words bring candidates; common ones do so where the others have not brought enough. What these
-- add to a score is known in the end.
local function find_best()
  if root.kind == 'keys' or (root.kind ~= 'all' and not condition) then
    return take_all(find(root))
  end
  -- A copy: sums are made in the order of the question, in every call.
  local by_holders = {unpack(terms)}
  table.sort(by_holders, function(one, other)
    return one.holders < other.holders
  end)
  local rare, common = {}, {}
  for place, term in ipairs(by_holders) do
    local chosen = place > 1 and term.holders > COMMON_SHARE * number and common or rare
    chosen[#chosen + 1] = term
  end
  meet_all_of(rare)
  if #best < most then
    meet_all_of(common)
  end
end

-- What the words say of each of these records.
local function words_of(members, sizes)
  local sums = {}
  for place = 1, #members do
    sums[place] = 0
  end
  for _, term in ipairs(terms) do
    local found = looked_up('ZMSCORE', term.key, members)
    for place = 1, #members do
      if found[place] then
        local length = tonumber(sizes[place] or 1)
        sums[place] = sums[place] + term_score(term, frequency_of(found[place]), length)
      end
    end
  end
  return sums
end

local members = {}
if given then
  members = filter(root, alive(given))
elseif #terms > 0 and most > 0 then
  if root.kind ~= 'all' and root.kind ~= 'keys' then
    local candidates = size(root)
    if root.costly or candidates > math.min(postings, FEW_CANDIDATES) then
      condition = root
    end
  end
  find_best()
  for place, each in ipairs(best) do
    members[place] = each.member
  end
end

local sizes = lengths and looked_up('ZMSCORE', lengths, members) or {}
local words = words_of(members, sizes)
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
  rows[place] = record
end
return {number, string.format('%.17g', average), holders_of, rows, due, dead}
