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

-- Take documents into account that were not seen before, many at once.
local function take_all(members)
  in_chunks(members, function(first, last)
    local postings = {}
    for index = 1, #terms do
      postings[index] = call('ZMSCORE', terms[index].key, unpack(members, first, last))
    end
    local sizes = call('ZMSCORE', lengths, unpack(members, first, last))
    for place = first, last do
      local member, sum = members[place], 0
      local length = tonumber(sizes[place - first + 1] or 1)
      for index = 1, #terms do
        local posting = postings[index][place - first + 1]
        if posting then
          sum = sum + term_score(terms[index], frequency_of(posting), length)
        end
      end
      if sum > 0 and not seen[member] then
        seen[member] = true
        offer(member, sum)
      end
    end
  end)
end
