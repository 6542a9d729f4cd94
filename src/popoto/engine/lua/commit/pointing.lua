-- commit/pointing.lua: pointers of popoto 1.8 to 1.10, which name the set of values that a record
-- stands in. These versions take the record out of the set that its pointer names and no other, so
-- where there is one, it has to follow. Where there is none, looking is one EXISTS for all records.
--
-- Three forms: a field of the record (1.8.0), a key that begins like the record (1.8.1, 1.8.2), a
-- key that ends like it (1.9 on).

local function make_pointing()
  local pointing, are_there = {looks = {}}, false

  -- Whether the record has a pointer among its fields.
  local function is_noted(at)
    local noted = ARGV[at + 4] ~= ''
      and reading(false, 'HMGET', key_at(at + 1), ARGV[at + 2] .. '\0idxset')
    return noted and noted[1]
  end

  local function look_at_pointer(key, at)
    return denied('GET', key) or denied(ARGV[at + 4] == '' and 'DEL' or 'SET', key)
  end

  -- (newer-key record field older-key set has-no-texts) ...
  function pointing.looks.POINT(_, first, last)
    local keys = {}
    for at = first, last, 6 do
      keys[#keys + 1] = key_at(at)
      keys[#keys + 1] = key_at(at + 3)
      are_there = are_there or is_noted(at)
    end
    are_there = are_there or (reading(false, 'EXISTS', unpack(keys)) or 0) > 0
    local failure
    if are_there then
      for at = first, last, 6 do
        failure = failure or look_at_pointer(key_at(at), at) or look_at_pointer(key_at(at + 3), at)
          or is_noted(at) and look_at('HSET', key_at(at + 1), 'HLEN') or nil
      end
    end
    return failure
  end

  -- Where other texts stand for values than ours, the record also leaves the set that was named.
  local function follow(key, at)
    local named, set = reading(false, 'GET', key), ARGV[at + 4]
    if not named then
      return 0
    end
    local removed = set == '' and call('DEL', key) or 0
    if set ~= '' then
      call('SET', key, set)
    end
    if ARGV[at + 5] == '1' and named ~= set and string.sub(named, 1, 1) == '$' then
      redis.pcall('SREM', named, string.sub(key_at(at + 1), #prefix + 1))
    end
    return removed
  end

  -- Replies how many are removed.
  function pointing.POINT(_, first, last)
    local removed = 0
    if are_there then
      for at = first, last, 6 do
        removed = removed + follow(key_at(at), at) + follow(key_at(at + 3), at)
        if is_noted(at) then
          call('HSET', key_at(at + 1), ARGV[at + 2] .. '\0idxset', ARGV[at + 4])
        end
      end
    end
    return removed
  end

  return pointing
end
