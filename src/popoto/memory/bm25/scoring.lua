-- memory/bm25/scoring.lua: the BM25 formula, as in formula.py, and the scores of documents.

-- The terms of the question that any document holds: {key, idf, holders}.
local terms = {}

-- What one term adds to the score of a document with so many words.
local function term_score(term, frequency, length)
  local norm = k1 * (1 - b + b * length / average)
  return term.idf * frequency * (k1 + 1) / (frequency + norm)
end

-- Postings tell frequencies, less a fraction below 1 (indexing.lua).
local function frequency_of(score)
  return math.ceil(tonumber(score))
end

-- The postings of a term: {member, score, member, score...}. They are read once.
local function postings_of(term)
  term.postings = term.postings or call('ZRANGE', term.key, 0, -1, 'WITHSCORES')
  return term.postings
end

-- Add what a term says of documents to their sums. It is asked about them where they are fewer than its
-- postings, and tells all its postings otherwise: so a question of thousands of words, most of them
-- rare, costs no more than what these words stand in.
local function add_term(term, members, sizes, place_of, sums)
  local function add(place, posting)
    local length = tonumber(sizes[place] or 1)
    sums[place] = sums[place] + term_score(term, frequency_of(posting), length)
  end
  -- A posting that has to be read costs about as much as two questions, one that was read half of one.
  if term.holders > (term.postings and 2 or 0.5) * #members then
    in_chunks(members, function(first, last)
      for index, posting in ipairs(call('ZMSCORE', term.key, unpack(members, first, last))) do
        if posting then
          add(first + index - 1, posting)
        end
      end
    end)
    return
  end
  local flat = postings_of(term)
  for index = 1, #flat, 2 do
    local place = place_of[flat[index]]
    if place then
      add(place, flat[index + 1])
    end
  end
end

-- What the question's terms add up to, for each of these documents with so many words. In the order of
-- the terms, so that equal documents have equal scores.
local function sums_of(members, sizes)
  local place_of, sums = {}, {}
  for place, member in ipairs(members) do
    place_of[member], sums[place] = place, 0
  end
  for _, term in ipairs(terms) do
    add_term(term, members, sizes, place_of, sums)
  end
  return sums
end

local function sizes_of(members)
  local sizes = {}
  in_chunks(members, function(first, last)
    followed(sizes, call('ZMSCORE', lengths, unpack(members, first, last)))
  end)
  return sizes
end

-- Take documents into account that were not seen before.
local function take_all(members)
  local fresh = unseen(members)
  for place, sum in ipairs(sums_of(fresh, sizes_of(fresh))) do
    if sum > 0 then
      offer(fresh[place], sum)
    end
  end
end

-- Take all documents into account that hold any of these terms.
local function take_holders(chosen)
  local found = {}
  for _, term in ipairs(chosen) do
    local flat = postings_of(term)
    for index = 1, #flat, 2 do
      found[#found + 1] = flat[index]
    end
  end
  take_all(found)
end
