-- memory/bm25/search.lua: the records whose words answer a question best, and what they hold.
--
-- KEYS   as query.lua, whose parts this script has; then the keys of the index (indexing.lua)
-- ARGV   as query.lua (order: any; offset is left to the caller), then
--        stem   position in KEYS of the index's stem
--        mark   what the words of index and question have to be made by; "" as in popoto 1.6
--        k1, b
--        sweeps "1": records that are past their time are only reported, as they would count
--        term count, terms...
--        0, or how many follow: documents and words of all shards, how many of them hold each term;
--        what words tell follows from these
--        "", or what the caller remembers (foretold.lua): born, version, last, rest, average, idf by
--        term ("" = not remembered), number of documents, their keys...
-- Reply  {{{key, {values...}, score}, ...}, due, dead, told}, the best first; the others as query.lua.
--        told: {born, version, latest, number, average, how many postings of longer sets were met,
--        holders by term...}; {} where there is no log of changes
--        {"due", due}; {"form", mark that was found}
-- Cost   O(answer) postings in most cases, each O(terms * log n): walks end where no other document
--        can be better (postings.lua). O(postings) where nearly nothing is left out by the words but
--        by the query. With few candidates, O(candidates * terms).

-- Below so many postings of all terms, they are all looked at rather than walked.
local FEW = 1000
-- With so few candidates, these are looked at instead.
local FEW_CANDIDATES = 1000

local root = read_node()
local due = expired()
local stem, mark = take_key(), take()
k1, b = take() + 0, take() + 0
local sweeps = take() == '1'
if sweeps and #due > 0 then
  return {'due', due}
end
local found_mark = call('GET', stem .. ':analyzer') or ''
lengths = stem .. ':dl'
if found_mark ~= mark and call('ZCARD', lengths) > 0 then
  return {'form', found_mark}
end

-- Read the index.
local number = tonumber(call('GET', stem .. ':n') or '') or 0
local told = tonumber(call('GET', stem .. ':avgdl') or '')
-- The average is kept with 14 digits; that of a whole number of words is told exactly.
average = told and number > 0 and math.floor(told * number + 0.5) / number or 1
if average <= 0 then
  average = told and told > 0 and told or 1
end
local own_average = average
local postings, names, asked = 0, take_list(), {}
local whole = take_list()
local documents = tonumber(whole[1] or number)
if whole[1] then
  average = whole[2] + 0 > 0 and whole[2] / documents or 1
end
for place, name in ipairs(names) do
  local key = stem .. ':inv:' .. name
  local own = call('ZCARD', key)
  asked[place] = own
  if own > 0 and number > 0 then
    local holders = tonumber(whole[2 + place] or own)
    local idf = math.log((documents - holders + 0.5) / (holders + 0.5) + 1)
    terms[#terms + 1] = {name = name, key = key, idf = idf, holders = own}
    postings = postings + own
  end
end
read_foretold(names)
log = stem .. ':changes'
read_log()

-- Find the best.
local function find_best()
  if root.kind == 'keys' or (root.kind ~= 'all' and not condition) then
    return take_all(find(root))
  end
  local short, longer = {}, {}
  for _, term in ipairs(terms) do
    local among = term.holders <= 128 and short or longer
    among[#among + 1] = term
  end
  take_holders(short)
  if #longer == 0 or is_foretold(longer) then
    return
  end
  if postings > FEW and #longer <= MOST_WALKS then
    return walk_postings(longer)
  end
  take_holders(longer)
  for _, term in ipairs(longer) do
    met_in_longer = met_in_longer + term.holders
  end
end

if #terms > 0 and most > 0 then
  if root.kind ~= 'all' and root.kind ~= 'keys' then
    local candidates = size(root)
    if root.costly or candidates > math.min(postings, FEW_CANDIDATES) then
      condition = root
    end
  end
  find_best()
end

-- Answer.
local found = {}
for index, each in ipairs(best) do
  local record = record_of(each.member)
  record[3] = string.format('%.17g', each.score)
  found[index] = record
end
if not born then
  return {found, due, dead, {}}
end
local told = {born, version, latest, number, string.format('%.17g', own_average), met_in_longer,
  asked}
return {found, due, dead, told}
