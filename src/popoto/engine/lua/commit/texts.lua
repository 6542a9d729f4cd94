-- commit/texts.lua: entries of value sets, and the list of distinct texts that stands for them.
--
-- A set may serve two texts: ":" and its escape, null and "None". The text goes with its last
-- holder, and with the last member of the set go all that may stand for the set.

-- Entries written by popoto 1.6 were never counted: do not go below zero.
local function count_down(coverage, field, number)
  if tonumber(call('HGET', coverage, field) or '0') <= number then
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
local function texts_without_holder(found, set, field, text, has_text)
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

-- values, then coverage field (set member text has-text) ...
local function enter(values, first, last)
  local added, texts, known = 0, {}, {}
  for index = first + 2, last, 4 do
    added = added + call('SADD', key_at(index), ARGV[index + 1])
    local text = ARGV[index + 2]
    if ARGV[index + 3] == '1' and not known[text] then
      -- Also where the record was in the set already, with another text of that set.
      known[text] = true
      texts[#texts + 1] = 0
      texts[#texts + 1] = text
    end
  end
  if texts[1] then
    call('ZADD', values, unpack(texts))
  end
  if added > 0 then
    call('HINCRBY', key_at(first), ARGV[first + 1], added)
  end
  return added
end

-- The same. Texts go also where a claim has been taken over meanwhile: they went with nobody then.
local function leave(values, first, last)
  local removed, texts = 0, {}
  for index = first + 2, last, 4 do
    removed = removed + call('SREM', key_at(index), ARGV[index + 1])
  end
  for index = first + 2, last, 4 do
    texts_without_holder(texts, key_at(index), ARGV[first + 1], ARGV[index + 2], ARGV[index + 3])
  end
  if texts[1] then
    call('ZREM', values, unpack(texts))
  end
  if removed > 0 then
    count_down(key_at(first), ARGV[first + 1], removed)
  end
  return removed
end
