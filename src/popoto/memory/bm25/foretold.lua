-- memory/bm25/foretold.lua: documents that the caller takes for the best, from postings that it
-- remembers, and the proof that they are.
--
-- The caller tells what no other document added up to, by what it knew. A document of which nothing
-- was written since then can add up to more only as far as the numbers of the whole index have moved.
-- Those that were written since are in the log (indexing.lua), and are looked at. So whatever else is
-- remembered wrongly, only work is lost.

-- The log of changes, and what it says: when it began, the latest version, and who it belongs to.
local log, born, version, latest
-- So many documents that have changed are looked at. The log tells more, wherever it leaves any out.
local MOST_CHANGED = 256
-- Frequencies that are looked at one by one.
local MOST_FREQUENCIES = 100

-- What the caller remembers: since when, of which version, what the rest adds up to at most, the
-- average length then, idf by term, and whom it takes for the best.
local foretold

local function read_log()
  local newest = call('ZRANGE', log, -1, -1, 'WITHSCORES')
  if newest[1] then
    latest, version = newest[1], newest[2]
    born = call('ZSCORE', log, ':born')
  end
end

local function read_foretold(names)
  local since = take()
  if since == '' then
    return
  end
  foretold = {
    born = since, version = take(), last = take(), rest = take() + 0, average = take() + 0, idf = {},
  }
  for place, idf in ipairs(take_list()) do
    foretold.idf[names[place]] = tonumber(idf)
  end
  foretold.best = take_list()
end

-- Whether popoto 1.6 has written a posting here, which no log knows: it is scored by a whole number.
local function is_foreign(term)
  local highest = call('ZREVRANGE', term.key, 0, 0, 'WITHSCORES')[2]
  local most = frequency_of(highest)
  if most > MOST_FREQUENCIES then
    return true
  end
  for frequency = 1, most do
    if call('ZCOUNT', term.key, frequency, frequency) > 0 then
      return true
    end
  end
  return false
end

-- The documents that have changed since then; nil where that is not known, or of too many.
local function changed_documents()
  local last = tonumber(call('ZSCORE', log, foretold.last) or '')
  local known = foretold.version + 0
  if foretold.born ~= born or not last or last < known then
    return nil
  end
  local changed, documents = call('ZRANGEBYSCORE', log, '(' .. foretold.version, '+inf'), {}
  if #changed > MOST_CHANGED then
    return nil
  end
  for _, member in ipairs(changed) do
    if string.sub(member, 1, 1) ~= ':' then
      documents[#documents + 1] = member
    elseif foretold.idf[string.sub(member, 6)] then
      return nil
    end
  end
  return documents
end

-- Take what was foretold into account. Whether nothing else can be among the best; these terms are
-- those of which not all postings were looked at.
local function is_foretold(walked)
  local changed = foretold and born and changed_documents()
  if not changed then
    return false
  end
  local grown = 0
  for _, term in ipairs(walked) do
    local idf = foretold.idf[term.name]
    if not idf or is_foreign(term) then
      return false
    end
    grown = math.max(grown, term.idf / idf)
  end
  take_all(changed)
  take_all(foretold.best)
  local bound = foretold.rest * grown * math.max(1, average / foretold.average) * (1 + 1e-9)
  local last = last_of_best()
  return bound == 0 or last and last.score > bound
end
