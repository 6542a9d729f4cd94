-- commit/sums.lua: adding to a stored number, where the server's doubles can.

local function make_sums()
  local sums = {}
  local exact_below = 9007199254740992

  -- The sum of a stored number and a delta, or nil where doubles cannot tell it exactly.
  -- Beyond 2^53, for Decimals and for damaged bytes the client computes it.
  local function sum_of(bytes, delta, kind)
    local value = 0
    if bytes and bytes ~= NULL then
      local decoded, found = pcall(cmsgpack.unpack, bytes)
      if not decoded or type(found) ~= 'number' then
        return nil
      end
      -- An integer of 64 bits without sign from 2^63 on is read as a negative one.
      if bytes:byte(1) == 207 and bytes:byte(2) > 127 then
        return nil
      end
      value = found
    end
    local sum = value + tonumber(delta)
    if kind == 'int' then
      -- 2^53 itself may be the rounded 2^53 + 1.
      local exact = value % 1 == 0 and math.abs(value) < exact_below
        and math.abs(sum) < exact_below
      return exact and sum or nil
    end
    return sum - sum == 0 and sum or nil
  end

  -- The guard: number key field delta kind
  function sums.addable(first)
    local number, key = ARGV[first] + 0, key_at(first + 1)
    local value, is_other = reading(false, 'HGET', key, ARGV[first + 2])
    seen[key] = 'HLEN'
    if not value and call('EXISTS', key) == 0 then
      make_refusing().refuse(number, 'exists', {key})
    elseif is_other or not sum_of(value, ARGV[first + 3], ARGV[first + 4]) then
      make_refusing().refuse_with_hash(number, 'addable', key)
    end
  end

  function sums.ADD(key, first, last)
    local field, kind = ARGV[first], ARGV[first + 2]
    local sum = sum_of(call('HGET', key, field), ARGV[first + 1], kind)
    local bytes = kind == 'int' and cmsgpack.pack(sum) or '\203' .. struct.pack('>d', sum)
    if last > first + 2 then
      call('ZADD', key_at(first + 3), string.format('%.17g', sum), ARGV[first + 4])
    end
    call('HSET', key, field, bytes)
    return bytes
  end

  -- Its record is known to be a hash; what else ADD writes is the sorted index.
  sums.looks = {ADD = function(key, first, last)
    return denied('HSET', key)
      or last > first + 2 and look_at('ZADD', key_at(first + 3), 'ZCARD') or nil
  end}

  return sums
end
