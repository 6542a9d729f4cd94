-- commit/pointing.lua: pointers of popoto 1.8 to 1.10, which name the set of values that a record
-- stands in. These versions take the record out of the set that its pointer names and no other, so
-- where there is one, it has to follow. Where there is none, looking is one EXISTS for all records.
--
-- Three forms: a field of the record (1.8.0), a key that begins like the record (1.8.1, 1.8.2), a
-- key that ends like it (1.9 on). On a cluster, where these versions do not work, they name the set
-- without its hash tag, as all that is stored does.

local function make_pointing()
  local pointing, are_there = {looks = {}}, false

  -- Whether any of these keys exists, and the reply that refuses to write them.
  local function look_at_keys(keys, name)
    local failure
    if (reading(false, 'EXISTS', unpack(keys)) or 0) > 0 then
      are_there = true
      for _, key in ipairs(keys) do
        failure = failure or denied('GET', key) or denied(name, key)
      end
    end
    return failure
  end

  -- What stands under a key, if it is text: a record may have such a name.
  local function is_pointer(key)
    return reading(false, 'GET', key)
  end

  -- (newer-key older-key) ...
  function pointing.looks.UNPOINT(_, first, last)
    local keys = {}
    for at = first, last do
      keys[#keys + 1] = key_at(at)
    end
    return look_at_keys(keys, 'DEL')
  end

  -- Replies how many are removed.
  function pointing.UNPOINT(_, first, last)
    local removed = 0
    for at = first, are_there and last or 0 do
      removed = removed + (is_pointer(key_at(at)) and call('DEL', key_at(at)) or 0)
    end
    return removed
  end

  -- Whether the record has a pointer among its fields.
  local function is_noted(at)
    local noted = reading(false, 'HMGET', key_at(at + 2), ARGV[at + 3] .. '\0idxset')
    return noted and noted[1]
  end

  -- (newer-key older-key record field set) ...
  function pointing.looks.POINT(_, first, last)
    local keys, failure = {}, nil
    for at = first, last, 5 do
      keys[#keys + 1] = key_at(at)
      keys[#keys + 1] = key_at(at + 1)
      if is_noted(at) then
        are_there = true
        failure = failure or look_at('HSET', key_at(at + 2), 'HLEN')
      end
    end
    return failure or look_at_keys(keys, 'SET')
  end

  function pointing.POINT(_, first, last)
    for at = first, are_there and last or 0, 5 do
      local set = string.sub(key_at(at + 4), #prefix + 1)
      for index = at, at + 1 do
        if is_pointer(key_at(index)) then
          call('SET', key_at(index), set)
        end
      end
      if is_noted(at) then
        call('HSET', key_at(at + 2), ARGV[at + 3] .. '\0idxset', set)
      end
    end
    return 0
  end

  return pointing
end
