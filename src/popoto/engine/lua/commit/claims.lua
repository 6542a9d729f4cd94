-- commit/claims.lua: who holds a unique value, or a slot of a unique composite index.

-- Members of claimed sets whose record is gone; nil for none.
local dead_claims

local function make_claims()
  local claims = {}

  -- Two different texts may share one key (None and "None", ":" and its escape).
  -- They do not compete: only equal bytes, or numbers written in two ways, do.
  local function compete(theirs, mine)
    if theirs == mine then
      return true
    end
    if not theirs or theirs == NULL or mine == NULL then
      return false
    end
    return not (start_of_text(theirs) and start_of_text(mine))
  end

  -- Whether a record holds values that compete with these: field bytes ... One that the user may
  -- not read is taken at the word of the index that names it: true, and why.
  local function same_values(other, first, last)
    for index = first, last, 2 do
      local theirs, why = reading(true, 'HGET', prefix .. other, ARGV[index])
      if why == 'hidden' then
        return true, 'hidden'
      elseif not compete(theirs, ARGV[index + 1]) then
        return false
      end
    end
    return true
  end

  -- `texts` are those of the field: its name and the keys of their list and of their count.
  local function holder_of(set, member, old, bytes, texts)
    for _, other in ipairs(reading(false, 'SMEMBERS', set) or {}) do
      if other ~= member and other ~= old then
        local theirs, why = reading(true, 'HGET', prefix .. other, texts.field)
        if why == 'hidden' then
          return other, 'hidden'
        elseif theirs then
          if compete(theirs, bytes) then
            return other
          end
        elseif call('EXISTS', prefix .. other) == 0 then
          dead_claims = dead_claims or {}
          dead_claims[#dead_claims + 1] = {set = set, member = other, bytes = bytes, texts = texts}
        end
      end
    end
    return nil
  end

  -- The guard: field values coverage, then (number set member old bytes) ...
  function claims.claim(first, last)
    local texts = {field = ARGV[first], values = key_at(first + 1), coverage = key_at(first + 2)}
    first = first + 3
    if last - first > 4 then
      local _, there = existing(first + 1, last, 5)
      if there == 0 then
        return
      end
    end
    for at = first, last, 5 do
      local set, member, old = key_at(at + 1), ARGV[at + 2], ARGV[at + 3]
      local holder, why = holder_of(set, member, old, ARGV[at + 4], texts)
      if holder then
        make_refusing().refuse(ARGV[at] + 0, 'claim', {holder, why})
      end
    end
  end

  -- Claims of missing records are given up before others take them.
  function claims.release_dead()
    for _, claim in ipairs(dead_claims) do
      if call('SREM', claim.set, claim.member) == 1 and claim.texts.values then
        local text = string.sub(claim.bytes, start_of_text(claim.bytes) or 1)
        make_leaving().release(claim.texts, claim.set, text)
      end
    end
  end

  -- The guard: number hash digest alternative member old field bytes ...
  function claims.slot(first, last)
    local hash, member, old = key_at(first + 1), ARGV[first + 4], ARGV[first + 5]
    for index = first + 2, first + 3 do
      local other = ARGV[index] ~= '' and reading(false, 'HGET', hash, ARGV[index])
      if other and other ~= member and other ~= old then
        local is_same, why = same_values(other, first + 6, last)
        if is_same then
          return make_refusing().refuse(ARGV[first] + 0, 'slot', {other, why})
        end
      end
    end
    return nil
  end

  function claims.HDELIF(key, first)
    if call('HGET', key, ARGV[first]) == ARGV[first + 1] then
      return call('HDEL', key, ARGV[first])
    end
    return 0
  end

  function claims.SLOT(key, first, last)
    local digest, alternative, member = ARGV[first], ARGV[first + 1], ARGV[first + 2]
    local other = call('HGET', key, digest)
    local is_same, why = true, nil
    if other and other ~= member and reading(true, 'EXISTS', prefix .. other) ~= 0 then
      is_same, why = same_values(other, first + 3, last)
    end
    if not is_same or why then
      digest = alternative
    elseif call('HGET', key, alternative) == member then
      call('HDEL', key, alternative)
    end
    return call('HSET', key, digest, member)
  end

  function claims.look_at_dead()
    local failure
    for _, claim in ipairs(dead_claims) do
      local texts = claim.texts
      failure = failure or look_at('SREM', claim.set, 'SCARD')
        or texts.values and (look_at('ZREM', texts.values, 'ZCARD')
          or denied('ZRANGEBYLEX', texts.values) or look_at_count(texts.coverage, texts.field, -1))
        or nil
    end
    return failure
  end

  local function look_at_slot(key)
    return look_at('HSET', key, 'HLEN') or denied('HDEL', key) or denied('HGET', key)
  end
  claims.looks = {SLOT = look_at_slot, HDELIF = look_at_slot}

  return claims
end
