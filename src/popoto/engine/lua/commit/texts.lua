-- commit/texts.lua: entries of value sets, and the list of distinct texts that stands for them.
--
-- A set may serve two texts: ":" and its escape, null and "None". The text goes with its last
-- holder, and with the last member of the set go all that may stand for the set.

-- values, then coverage field (set member text has-text) ...
local function enter(values, first, last)
  local several, added, texts, known = last - first > 5, 0, nil, nil
  for index = first + 2, last, 4 do
    local set, member, text, has_text = key_at(index), ARGV[index + 1], ARGV[index + 2],
      ARGV[index + 3] == '1'
    added = added + call('SADD', set, member)
    -- Texts also where the record was in the set already, with another text of that set.
    if has_text and not several then
      call('ZADD', values, 0, text)
    elseif has_text then
      texts, known = texts or {}, known or {}
      if not known[text] then
        known[text] = true
        texts[#texts + 1] = 0
        texts[#texts + 1] = text
      end
    end
  end
  if texts then
    call('ZADD', values, unpack(texts))
  end
  if added > 0 then
    call('HINCRBY', key_at(first), ARGV[first + 1], added)
  end
  return added
end

local function make_leaving()
  local leaving = {}

  -- Entries written by popoto 1.6 were never counted: do not go below zero.
  function leaving.count_down(coverage, field, number)
    if (call('HGET', coverage, field) or 0) + 0 <= number then
      call('HDEL', coverage, field)
    else
      call('HINCRBY', coverage, field, -number)
    end
  end

  -- Where ":" or its escape stands next in a text.
  local function next_separator(text, from)
    local first, last = string.find(text, ESCAPED_SEPARATOR, from, true)
    local colon = string.find(text, ':', from, true)
    if colon and (not first or colon < first) then
      return colon, colon
    end
    return first, last
  end

  local function is_held_by_another(set, field, text)
    -- Where that cannot be read, the text stays: one too many hides no record.
    local members, why = reading(true, 'SMEMBERS', set)
    for _, member in ipairs(members or {}) do
      local bytes, why_not = reading(true, 'HGET', prefix .. member, field)
      if why_not == 'hidden' or (bytes and string.sub(bytes, -#text) == text) then
        return true
      end
    end
    return why == 'hidden'
  end

  -- Every text that may stand for the set of this one: with ":" or its escape wherever it has
  -- either. As there may be very many, only those that begin as a text of the list does.
  local function spellings(values, text)
    local begun, from = {''}, 1
    local first, last = next_separator(text, from)
    while first do
      local piece, grown = string.sub(text, from, first - 1), {}
      for _, start in ipairs(begun) do
        for _, separator in ipairs({':', ESCAPED_SEPARATOR}) do
          local whole = start .. piece .. separator
          if call('ZRANGEBYLEX', values, '[' .. whole, '(' .. whole .. '\255', 'LIMIT', 0, 1)[1] then
            grown[#grown + 1] = whole
          end
        end
      end
      begun, from = grown, last + 1
      first, last = next_separator(text, from)
    end
    for index, start in ipairs(begun) do
      begun[index] = start .. string.sub(text, from)
    end
    return begun
  end

  -- Append the texts that no set serves any more, now that a record has left this one.
  local function without_holder(found, values, set, field, text, has_text)
    if call('SCARD', set) == 0 then
      for _, each in ipairs(spellings(values, has_text == '1' and text or 'None')) do
        found[#found + 1] = each
      end
    elseif (string.find(text, ESCAPED_SEPARATOR, 1, true) or (text == 'None' and has_text == '1'))
      and not is_held_by_another(set, field, text) then
      found[#found + 1] = text
    end
  end

  -- A missing record has left the set of a text; what it held itself is not known.
  function leaving.release(texts, set, text)
    local is_gone = call('SCARD', set) == 0
    for _, each in ipairs(spellings(texts.values, text)) do
      if is_gone or not is_held_by_another(set, texts.field, each) then
        call('ZREM', texts.values, each)
      end
    end
    leaving.count_down(texts.coverage, texts.field, 1)
  end

  -- The same as for ENTER. Texts go also where a record had left the set before: what took its
  -- entry away need not have known its text.
  function leaving.LEAVE(values, first, last)
    local coverage, field = key_at(first), ARGV[first + 1]
    local removed, left, looked_at = 0, {}, {}
    for index = first + 2, last, 4 do
      removed = removed + call('SREM', key_at(index), ARGV[index + 1])
    end
    for index = first + 2, last, 4 do
      -- Once for all that have left one set, unless it serves several texts.
      local set, text = key_at(index), ARGV[index + 2]
      if looked_at[set] ~= text then
        looked_at[set] = text
        without_holder(left, values, set, field, text, ARGV[index + 3])
      end
    end
    if left[1] then
      call('ZREM', values, unpack(left))
    end
    if removed > 0 then
      leaving.count_down(coverage, field, removed)
    end
    return removed
  end

  return leaving
end
