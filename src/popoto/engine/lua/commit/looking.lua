-- commit/looking.lua: the look at every command before the first one is carried out.
--
-- Each look returns the reply that refuses the whole, or nil. It sees to it that the keys which a
-- command of ours writes are of its type, that the user may write them, and that numbers which it
-- adds to are numbers. What a look has read, its command may read again. The looks at most
-- commands of ours are made together with these: `looks` in the table of each part.

local function unlike(key, measure)
  local found = seen[key]
  if found == measure or found == true then
    return nil
  end
  seen[key] = measure
  local _, is_other = reading(false, measure, key)
  return is_other and make_refusing().refuse_type(key, measure) or nil
end

-- One command on one key.
local function look_at(name, key, measure)
  return not allowed[name] and denied(name, key) or unlike(key, measure)
end

-- Whether servers add to this text as to a whole number, with room for what is added.
local function is_whole(text)
  return #text < 17 and (text == '0' or string.find(text, '^%-?[1-9]%d*$'))
end

-- How many records a list of texts covers, which is about to be changed by so many.
local function look_at_count(coverage, field, number)
  local id = coverage .. '\0' .. field
  local count = seen[id]
  if not count then
    local is_other
    count, is_other = reading(false, 'HGET', coverage, field)
    if is_other then
      return make_refusing().refuse_type(coverage, 'HLEN')
    elseif count and not is_whole(count) then
      return make_refusing().refusal(0, 'number', {coverage, field, count})
    end
    count = (count or 0) + 0
  end
  seen[id] = count + number
  return not allowed.HINCRBY and denied('HINCRBY', coverage)
    or count + number <= 0 and denied('HDEL', coverage) or nil
end

-- values, then coverage field (set member text has-text) ...
local function look_at_entries(values, first, last, name)
  local number = (last - first - 1) / 4
  local verb = 'SADD'
  local failure
  if name == 'ENTER' then
    failure = look_at('ZADD', values, 'ZCARD') or look_at_count(key_at(first), ARGV[first + 1], 0)
    if not failure and number > 1 then
      local _, there = existing(first + 2, last, 4)
      if there == 0 and not denied(verb, key_at(first + 2)) and allowed[verb] then
        return nil
      end
    end
  else
    verb = 'SREM'
    failure = look_at('ZREM', values, 'ZCARD')
      or look_at_count(key_at(first), ARGV[first + 1], -number)
  end
  for index = first + 2, last, 4 do
    failure = failure or look_at(verb, key_at(index), 'SCARD')
    if verb == 'SREM' and string.find(ARGV[index + 2], '[:;]') then
      -- Other spellings of the text may stand for the set.
      failure = failure or denied('ZRANGEBYLEX', values)
    end
  end
  return failure
end
