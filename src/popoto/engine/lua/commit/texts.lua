-- commit/texts.lua: entries of value sets, and the list of distinct texts that stands for them.
--
-- A set may serve two texts: ":" and its escape, null and "None". The text goes with its last
-- holder, and with the last member of the set go all that may stand for the set.

local function make_texts()
  local texts = {}

  -- values, then coverage field (set member text has-text) ...
  function texts.ENTER(values, first, last)
    local added, entered, known = 0, {}, {}
    for index = first + 2, last, 4 do
      added = added + call('SADD', key_at(index), ARGV[index + 1])
      local text = ARGV[index + 2]
      if ARGV[index + 3] == '1' and not known[text] then
        -- Also where the record was in the set already, with another text of that set.
        known[text] = true
        entered[#entered + 1] = 0
        entered[#entered + 1] = text
      end
    end
    if entered[1] then
      call('ZADD', values, unpack(entered))
    end
    if added > 0 then
      call('HINCRBY', key_at(first), ARGV[first + 1], added)
    end
    return added
  end

  -- Entries written by popoto 1.6 were never counted: do not go below zero.
  function texts.count_down(coverage, field, number)
    if (call('HGET', coverage, field) or 0) + 0 <= number then
      call('HDEL', coverage, field)
    else
      call('HINCRBY', coverage, field, -number)
    end
  end

  local function is_held_by_another(set, field, text)
    for _, member in ipairs(call('SMEMBERS', set)) do
      local bytes = call('HGET', prefix .. member, field)
      if bytes and string.sub(bytes, -#text) == text then
        return true
      end
    end
    return false
  end

  -- Append the texts that no set serves any more, now that a record has left this one.
  local function without_holder(found, set, field, text, has_text)
    local ambiguous = string.find(text, ESCAPED_SEPARATOR, 1, true)
    if call('EXISTS', set) == 0 then
      found[#found + 1] = has_text == '1' and text or 'None'
      if ambiguous then
        found[#found + 1] = string.gsub(text, ESCAPED_SEPARATOR, ':')
      end
    elseif ambiguous and not is_held_by_another(set, field, text) then
      found[#found + 1] = text
    end
  end

  -- The same as for ENTER. Texts go also where a claim has been taken over meanwhile: they went
  -- with nobody then.
  function texts.LEAVE(values, first, last)
    local coverage, field = key_at(first), ARGV[first + 1]
    local removed, left = 0, {}
    for index = first + 2, last, 4 do
      removed = removed + call('SREM', key_at(index), ARGV[index + 1])
    end
    for index = first + 2, last, 4 do
      without_holder(left, key_at(index), field, ARGV[index + 2], ARGV[index + 3])
    end
    if left[1] then
      call('ZREM', values, unpack(left))
    end
    if removed > 0 then
      texts.count_down(coverage, field, removed)
    end
    return removed
  end

  return texts
end
