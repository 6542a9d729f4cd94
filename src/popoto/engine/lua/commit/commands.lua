-- commit/commands.lua: the commands of our own, by name, which decide by what the server holds.
-- Each is given its key and reads its arguments from `first` to `last`; what they are is listed
-- in commit.lua. Any other name is a command of the server.

local seldom = room(function()

local function move(key, first)
  if call('EXISTS', key) == 0 then
    -- What an earlier record left there is not this one's.
    call('DEL', key_at(first))
    return 0
  end
  call('RENAME', key, key_at(first))
  return 1
end

local function add(key, first, last)
  local field, kind = ARGV[first], ARGV[first + 2]
  local sum = sums().of(call('HGET', key, field), ARGV[first + 1], kind)
  local bytes = sums().stored(sum, kind)
  if last > first + 2 then
    call('ZADD', key_at(first + 3), string.format('%.17g', sum), ARGV[first + 4])
  end
  call('HSET', key, field, bytes)
  return bytes
end

local function delete_if_ours(key, first)
  if call('HGET', key, ARGV[first]) == ARGV[first + 1] then
    return call('HDEL', key, ARGV[first])
  end
  return 0
end

local function take_slot(key, first, last)
  local digest, alternative, member = ARGV[first], ARGV[first + 1], ARGV[first + 2]
  local other = call('HGET', key, digest)
  if other and other ~= member and call('EXISTS', prefix .. other) == 1
    and not claims().same_values(other, first + 3, last) then
    digest = alternative
  elseif call('HGET', key, alternative) == member then
    call('HDEL', key, alternative)
  end
  return call('HSET', key, digest, member)
end

local function keyed(_, first, last)
  local kinds, words = ARGV[first + 1], {}
  for index = first + 2, last do
    local place = index - first - 1
    words[place] = string.sub(kinds, place, place) == 'k' and key_at(index) or ARGV[index]
  end
  return call(ARGV[first], unpack(words))
end

return {MOVE = move, ADD = add, HDELIF = delete_if_ours, SLOT = take_slot, KEYED = keyed}

end)

-- False: known to be the server's, without asking further.
local commands = {
  HSET = false, SADD = false, ZADD = false, SREM = false, ZREM = false, PERSIST = false,
  ENTER = enter, LEAVE = leave, RETIRE = retire,
}

-- The command of our own of this name, or false.
local function command_named(name)
  local command = commands[name]
  if command == nil then
    command = seldom()[name] or expiring()[name] or false
    commands[name] = command
  end
  return command
end
