-- memory/bm25/indexing.lua: documents enter and leave an index of words.
--
-- An index has a stem P, and below it these keys, as popoto 1.6 has them:
--   P:inv:<term>   sorted set: record key -> how often the term stands there
--   P:tf:<record>  sorted set: the same by term, from which is known what to take back
--   P:df, P:dl     sorted sets: term -> documents that hold it, record key -> words of it
--   P:n, P:avgdl   how many documents, and how many words they have on average
--   P:analyzer     what made the words, unless popoto 1.6 could have
--   P:changes      sorted set, of more than 128 documents: record key -> when it last changed, for
--                  the latest changes of all; ":born" -> when this began, ":floor" -> what is not
--                  told any more; ":inv:<term>" -> when a set became a longer one
--
-- A posting in a longer set is scored  frequency - words * 2^-32,  so that of equal frequencies the
-- shorter document comes first and a search can stop early (searching.lua). Words may have become
-- more since; never are they fewer than the score says. Popoto 1.6 takes it for the frequency.
--
-- INDEX     stem member mark words is-whole declared...   words: "term count term count ..."
--           The document has these words, none for "": then it leaves the index. Only postings that
--           change are written, or all with is-whole "1". Replies 1 where anything changed
-- TRANSFER  stem member to-stem to-member mark   the document moves, or what is there goes
-- POSTINGS  stem keys...   nothing: more keys that an INDEX looks at

local function make_indexing()
  local indexing = {}
  -- From so many postings on a set is a longer one, and an index of more documents has a log.
  local LONG, STEP = 128, 2 ^ -32
  -- It is of so many changes, or up to twice as many.
  local LOGGED = 512
  -- How many documents hold a term, by the key of its postings: looked at once in a call.
  local holders = {}
  -- What goes into the log beside the document: sets that have become longer ones.
  local lengthened = {}

  local function counted(words)
    local counts, total = {}, 0
    for term, count in string.gmatch(words, '([^ ]+) (%d+)') do
      counts[term] = count + 0
      total = total + count
    end
    return counts, total
  end

  -- The counts of the terms that a document is indexed with.
  local function stored_counts(stem, member)
    local flat, is_other = reading(false, 'ZRANGE', stem .. ':tf:' .. member, 0, -1, 'WITHSCORES')
    local counts = {}
    for index = 1, not is_other and flat and #flat or 0, 2 do
      counts[flat[index]] = flat[index + 1] + 0
    end
    return counts
  end

  local function look_at_terms(stem, counts)
    for term in pairs(counts) do
      local key = stem .. ':inv:' .. term
      if not holders[key] then
        local number, is_other = reading(false, 'ZCARD', key)
        local failure = is_other and make_refusing().refuse_type(key, 'ZCARD')
          or not allowed.ZADD and denied('ZADD', key) or not allowed.ZREM and denied('ZREM', key)
          or not allowed.ZRANGE and denied('ZRANGE', key)
        if failure then
          return failure
        end
        holders[key] = number or 0
      end
    end
    return nil
  end

  -- Whether the words of an index come from this analyzer. One that is being made anew has
  -- " building" behind its mark.
  local function look_at_mark(stem, mark)
    local key = stem .. ':analyzer'
    local found, is_other = reading(false, 'GET', key)
    if is_other then
      return make_refusing().refuse_type(key, 'STRLEN')
    elseif (found or '') == mark or found == mark .. ' building' then
      return nil
    elseif reading(false, 'ZCARD', stem .. ':dl') == 0 then
      return denied('SET', key) or denied('DEL', key)
    end
    return make_refusing().refusal(0, 'form', {key, found or 'words', mark == '' and 'words' or mark})
  end

  local function look_at_log(log)
    return look_at('ZADD', log, 'ZCARD') or denied('ZRANGE', log)
      or denied('ZREMRANGEBYRANK', log) or denied('DEL', log) or denied('TIME', log)
  end

  local function look_at_document(stem, member, counts)
    local forward, frequencies, lengths = stem .. ':tf:' .. member, stem .. ':df', stem .. ':dl'
    local number, average = stem .. ':n', stem .. ':avgdl'
    return look_at('ZADD', forward, 'ZCARD') or denied('ZREM', forward)
      or denied('ZRANGE', forward) or look_at('ZADD', frequencies, 'ZCARD')
      or denied('ZREM', frequencies) or look_at('ZADD', lengths, 'ZCARD')
      or denied('ZREM', lengths) or denied('ZSCORE', lengths) or denied('ZRANGE', lengths)
      or look_at('SET', number, 'STRLEN') or look_at('SET', average, 'STRLEN')
      or denied('GET', average) or look_at_log(stem .. ':changes')
      or look_at_terms(stem, stored_counts(stem, member)) or look_at_terms(stem, counts)
  end

  -- Hand many arguments to a command that takes them in pairs or one by one.
  local function in_pieces(name, key, arguments)
    for first = 1, #arguments, 4000 do
      call(name, key, unpack(arguments, first, math.min(first + 3999, #arguments)))
    end
  end

  local function sum_of_lengths(stem, number)
    local average = tonumber(call('GET', stem .. ':avgdl') or '')
    if average or number == 0 then
      return math.floor((average or 0) * number + 0.5)
    end
    local flat, sum = call('ZRANGE', stem .. ':dl', 0, -1, 'WITHSCORES'), 0
    for index = 2, #flat, 2 do
      sum = sum + flat[index]
    end
    return sum
  end

  local function posting_score(frequency, length)
    return string.format('%.17g', frequency - length * STEP)
  end

  -- A set has become a longer one: its postings tell how long documents are from now on.
  local function lengthen(stem, key)
    local flat = call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for index = 1, #flat, 2 do
      local length = tonumber(call('ZSCORE', stem .. ':dl', flat[index]) or '')
      flat[index], flat[index + 1] =
        posting_score(math.ceil(flat[index + 1] + 0), length or 0), flat[index]
    end
    call('ZADD', key, unpack(flat))
    lengthened[#lengthened + 1] = string.sub(key, #stem + 1)
  end

  -- Write the terms that change. Returns what to write of each to the other keys.
  local function write_terms(stem, member, before, after, length, is_whole)
    local forward, gone, frequencies, unused = {}, {}, {}, {}
    local function note(term, key)
      if holders[key] == 0 then
        unused[#unused + 1] = term
      else
        frequencies[#frequencies + 1] = holders[key]
        frequencies[#frequencies + 1] = term
      end
    end
    for term in pairs(before) do
      if not after[term] then
        local key = stem .. ':inv:' .. term
        holders[key] = holders[key] - call('ZREM', key, member)
        gone[#gone + 1] = term
        note(term, key)
      end
    end
    for term, count in pairs(after) do
      local is_new = is_whole or before[term] ~= count
      if is_new or length < 0 then
        local key, score = stem .. ':inv:' .. term, count
        if holders[key] >= LONG then
          score = posting_score(count, math.abs(length))
        end
        if holders[key] == LONG then
          lengthen(stem, key)
        end
        holders[key] = holders[key] + call('ZADD', key, score, member)
        if is_new then
          forward[#forward + 1] = count
          forward[#forward + 1] = term
          note(term, key)
        end
      end
    end
    return forward, gone, frequencies, unused
  end

  -- Note in the log that a document has changed, for those who remember postings (foretold.lua).
  -- Versions are microseconds, so that a log which begins anew is never behind an older one.
  local function note_change(log, member)
    local now, last = call('TIME'), call('ZRANGE', log, -1, -1, 'WITHSCORES')[2]
    local version = now[1] * 1000000 + now[2]
    if last then
      version = math.max(version, last + 1)
    else
      local born = string.format('%.17g', version)
      call('ZADD', log, born, ':born', born, ':floor')
      version = version + 1
    end
    call('ZADD', log, string.format('%.17g', version), member)
  end

  local function note_changes(stem, member, number)
    local log, sets = stem .. ':changes', lengthened
    lengthened = {}
    if number <= LONG then
      call('DEL', log)
      return
    end
    note_change(log, member)
    for _, set in ipairs(sets) do
      note_change(log, set)
    end
    if call('ZCARD', log) > 2 * LOGGED + 2 then
      local floor = call('ZRANGE', log, LOGGED + 1, LOGGED + 1, 'WITHSCORES')[2]
      call('ZREMRANGEBYRANK', log, 2, LOGGED + 1)
      call('ZADD', log, floor, ':floor')
    end
  end

  local function write_document(stem, member, counts, total, is_whole)
    local lengths, forward_key = stem .. ':dl', stem .. ':tf:' .. member
    local before, number = stored_counts(stem, member), call('ZCARD', lengths)
    local length = tonumber(call('ZSCORE', lengths, member) or '')
    if total == 0 and not length and not next(before) then
      return 0
    end
    local sum = sum_of_lengths(stem, number)
    -- A document that got shorter has to move forward in every longer set: a length below 0 says so.
    local is_shorter = length and total < length
    local forward, gone, frequencies, unused = write_terms(
      stem, member, before, counts, is_shorter and -total or total, is_whole)
    in_pieces('ZADD', forward_key, forward)
    in_pieces('ZREM', forward_key, gone)
    in_pieces('ZADD', stem .. ':df', frequencies)
    in_pieces('ZREM', stem .. ':df', unused)
    if total == 0 then
      call('ZREM', lengths, member)
    elseif total ~= length then
      call('ZADD', lengths, total, member)
    end
    if total ~= length then
      number = number + (total > 0 and 1 or 0) - (length and 1 or 0)
      sum = number > 0 and sum + total - (length or 0) or 0
      call('SET', stem .. ':n', number)
      call('SET', stem .. ':avgdl', string.format('%.14g', number > 0 and sum / number or 0))
    end
    note_changes(stem, member, number)
    return 1
  end

  local function write_mark(stem, mark)
    local key = stem .. ':analyzer'
    local found = call('GET', key) or ''
    if found ~= mark and found ~= mark .. ' building' then
      if mark == '' then
        call('DEL', key)
      else
        call('SET', key, mark)
      end
    end
  end

  function indexing.INDEX(stem, first)
    local counts, total = counted(ARGV[first + 2])
    local changed = write_document(stem, ARGV[first], counts, total, ARGV[first + 3] == '1')
    if total > 0 then
      write_mark(stem, ARGV[first + 1])
    end
    return changed
  end

  function indexing.TRANSFER(stem, first)
    local member, target, to = ARGV[first], key_at(first + 1), ARGV[first + 2]
    local counts, total = stored_counts(stem, member), 0
    for _, count in pairs(counts) do
      total = total + count
    end
    write_document(stem, member, {}, 0)
    local changed = write_document(target, to, counts, total)
    if total > 0 then
      write_mark(target, ARGV[first + 3])
    end
    return changed
  end

  function indexing.POSTINGS()
    return 0
  end

  indexing.looks = {
    INDEX = function(stem, first)
      local counts, total = counted(ARGV[first + 2])
      return look_at_document(stem, ARGV[first], counts)
        or total > 0 and look_at_mark(stem, ARGV[first + 1]) or nil
    end,
    TRANSFER = function(stem, first)
      local counts, target = stored_counts(stem, ARGV[first]), key_at(first + 1)
      return look_at_document(stem, ARGV[first], counts)
        or look_at_document(target, ARGV[first + 2], counts)
        or next(counts) and look_at_mark(target, ARGV[first + 3]) or nil
    end,
    POSTINGS = function()
      return nil
    end,
  }

  return indexing
end

MAKERS.INDEX, MAKERS.TRANSFER, MAKERS.POSTINGS = make_indexing, make_indexing, make_indexing
