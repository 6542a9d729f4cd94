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

  -- Append the texts that no set serves any more, now that a record has left this one.
  local function without_holder(found, set, field, text, has_text)
    local escaped = string.find(text, ESCAPED_SEPARATOR, 1, true)
    if call('SCARD', set) == 0 then
      found[#found + 1] = has_text == '1' and text or 'None'
      if escaped then
        found[#found + 1] = string.gsub(text, ESCAPED_SEPARATOR, ':')
      end
    elseif (escaped or (text == 'None' and has_text == '1'))
      and not is_held_by_another(set, field, text) then
      found[#found + 1] = text
    end
  end

  -- The same as for ENTER. Texts go also where a claim has been taken over meanwhile: they went
  -- with nobody then.
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
        without_holder(left, set, field, text, ARGV[index + 3])
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
