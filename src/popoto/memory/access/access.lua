-- memory/access/access.lua: reads of records, staged and confirmed.
--
-- STAGE    staged record moment most   note a read of a record that exists; keeps the latest ones
-- CONFIRM  staged log meta record most    promote all staged reads. Reply: how many

local function make_access()
  local access = {}
  local staged_for = 24 * 60 * 60 * 1000

  -- What is kept of a record that expires goes when it does.
  local function follow(key, remaining)
    if remaining >= 0 then
      call('PEXPIRE', key, remaining)
    end
  end

  function access.STAGE(staged, first)
    local record = key_at(first)
    if call('EXISTS', record) == 0 then
      return 0
    end
    call('RPUSH', staged, ARGV[first + 1])
    call('LTRIM', staged, -ARGV[first + 2], -1)
    local remaining = call('PTTL', record)
    call('PEXPIRE', staged, remaining >= 0 and math.min(remaining, staged_for) or staged_for)
    return 1
  end

  function access.CONFIRM(staged, first)
    local log, meta, record = key_at(first), key_at(first + 1), key_at(first + 2)
    local most, reads = ARGV[first + 3] + 0, call('LRANGE', staged, 0, -1)
    if not reads[1] then
      return 0
    end
    for start = math.max(1, #reads - most + 1), #reads, 1000 do
      call('RPUSH', log, unpack(reads, start, math.min(start + 999, #reads)))
    end
    if most > 0 then
      call('LTRIM', log, -most, -1)
    else
      call('DEL', log)
    end
    call('HINCRBY', meta, 'access_count', #reads)
    call('HSET', meta, 'last_accessed', reads[#reads])
    call('DEL', staged)
    local remaining = call('PTTL', record)
    follow(log, remaining)
    follow(meta, remaining)
    return #reads
  end

  access.looks = {
    STAGE = function(staged, first)
      return look_at('RPUSH', staged, 'LLEN') or denied('LTRIM', staged)
        or denied('PEXPIRE', staged) or denied('EXISTS', key_at(first))
        or denied('PTTL', key_at(first))
    end,
    CONFIRM = function(staged, first)
      local log, meta = key_at(first), key_at(first + 1)
      return look_at('DEL', staged, 'LLEN') or denied('LRANGE', staged)
        or look_at('RPUSH', log, 'LLEN') or denied('LTRIM', log) or denied('DEL', log)
        or denied('PEXPIRE', log) or look_at('HSET', meta, 'HLEN')
        or look_at_count(meta, 'access_count', 0) or denied('PEXPIRE', meta)
        or denied('PTTL', key_at(first + 2))
    end,
  }

  return access
end

MAKERS.STAGE, MAKERS.CONFIRM = make_access, make_access
