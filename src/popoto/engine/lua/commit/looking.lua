-- commit/looking.lua: the look at every command before the first one is carried out.
--
-- Each look returns the reply that refuses the whole, or nil. It sees to it that the keys which a
-- command of ours writes are of its type, that the user may write them, and that numbers which it
-- adds to are numbers. What a look has read, its command may read again.

-- Whether commands take keys away that others of this call may look for.
local removes = false

local function unlike(key, measure)
  local found = seen[key]
  if found == measure or found == true then
    return nil
  end
  seen[key] = measure
  local _, is_other = held(measure, key)
  return is_other and make_refusing().refuse_type(key, measure) or nil
end

-- One command on one key.
local function look_at(name, key, measure)
  return denied(name, key) or unlike(key, measure)
end

-- Whether servers add to this text as to a whole number, with room for what is added.
local function is_whole(text)
  return #text < 17 and (text == '0' or string.find(text, '^%-?[1-9]%d*$'))
end

-- How many records a list of texts covers, which is about to be changed.
local function look_at_count(coverage, field)
  local id = coverage .. '\0' .. field
  if seen[id] then
    return nil
  end
  seen[id] = true
  local count, is_other = held('HGET', coverage, field)
  if is_other then
    return make_refusing().refuse_type(coverage, 'HLEN')
  elseif count and not is_whole(count) then
    return make_refusing().refusal(0, 'number', {coverage, field, count})
  end
  return denied('HINCRBY', coverage)
end

-- values, then coverage field (set member text has-text) ...
local function look_at_entering(values, first, last)
  local failure = look_at('ZADD', values, 'ZCARD')
    or look_at_count(key_at(first), ARGV[first + 1])
  if not failure and last - first > 5 then
    local _, there = existing(first + 2, last, 4)
    if there == 0 and not denied('SADD', key_at(first + 2)) and allowed.SADD then
      return nil
    end
  end
  for index = first + 2, last, 4 do
    failure = failure or look_at('SADD', key_at(index), 'SCARD')
  end
  return failure
end

local function look_at_leaving(values, first, last)
  local coverage = key_at(first)
  local failure = look_at('ZREM', values, 'ZCARD')
    or look_at_count(coverage, ARGV[first + 1]) or denied('HDEL', coverage)
  for index = first + 2, last, 4 do
    failure = failure or look_at('SREM', key_at(index), 'SCARD')
  end
  removes = true
  return failure
end
