-- memory/cycles/learning.lua: amplitudes that are learned, and pressure that is released.
--
-- DECLARE   hash member cycles...   a save: the declared cycles (period amplitude phase, three
--           arguments each). Where a cycle is declared as it was, its learned amplitude stays
-- AMPLIFY   hash member factor      multiply every amplitude. Reply: period amplitude phase ... (texts)
-- PRESS     hash member rate now    a save: the rate; pressure builds up from when it was resolved
-- RELEASE   hash member rate now [evidence record initial threshold]
--           resolve it; with a threshold, only where the record's confidence is below it
--
-- A cycle is stored as {period, amplitude, phase}. A learned one has a fourth element, the amplitude
-- that was declared, by which a later save knows it; popoto 1.6 ignores that.

local function make_cycles()
  local cycles = {}
  local highest, lowest = 100, 0.01

  local function packed_number(number)
    if number % 1 == 0 and math.abs(number) < 9007199254740992 then
      return cmsgpack.pack(number)
    end
    return packed_float(number)
  end

  local function packed_cycle(period, amplitude, phase, declared)
    local is_learned = amplitude ~= declared
    return (is_learned and '\148' or '\147') .. packed_number(period) .. packed_float(amplitude)
      .. packed_number(phase) .. (is_learned and packed_float(declared) or '')
  end

  local function packed_list(items)
    local size = #items
    local head = size < 16 and string.char(144 + size) or '\220' .. struct.pack('>H', size)
    return head .. table.concat(items)
  end

  function cycles.DECLARE(hash, first, last)
    local member, items = ARGV[first], {}
    local stored = table_of(call('HGET', hash, member))
    for index = first + 1, last, 3 do
      local period, amplitude, phase = ARGV[index] + 0, ARGV[index + 1] + 0, ARGV[index + 2] + 0
      local now_period, now_amplitude, now_phase, declared = cycle_of(stored[#items + 1])
      if now_period == period and now_phase == phase and declared == amplitude then
        items[#items + 1] = packed_cycle(period, now_amplitude, phase, amplitude)
      else
        items[#items + 1] = packed_cycle(period, amplitude, phase, amplitude)
      end
    end
    return call('HSET', hash, member, packed_list(items))
  end

  function cycles.AMPLIFY(hash, first)
    local member, factor, items, reply = ARGV[first], ARGV[first + 1] + 0, {}, {}
    for _, found in ipairs(table_of(call('HGET', hash, member))) do
      local period, amplitude, phase, declared = cycle_of(found)
      if period then
        local moved = math.min(math.max(amplitude * factor, 0), highest)
        moved = moved >= lowest and moved or 0
        items[#items + 1] = packed_cycle(period, moved, phase, declared)
        reply[#reply + 1] = text_of_number(period)
        reply[#reply + 1] = text_of_number(moved)
        reply[#reply + 1] = text_of_number(phase)
      end
    end
    if items[1] then
      call('HSET', hash, member, packed_list(items))
    end
    return reply
  end

  local function write_pressure(hash, member, rate, resolved)
    return call('HSET', hash, member, '\130' .. packed_name('rate') .. packed_float(rate)
      .. packed_name('last_resolved') .. packed_float(resolved))
  end

  function cycles.PRESS(hash, first)
    local member = ARGV[first]
    local _, resolved = tension_of(call('HGET', hash, member))
    return write_pressure(hash, member, ARGV[first + 1] + 0, resolved or ARGV[first + 2] + 0)
  end

  function cycles.RELEASE(hash, first, last)
    if last > first + 2 then
      local evidence, record = key_at(first + 3), ARGV[first + 4]
      local confidence = make_learning().confidence_of(evidence, record, ARGV[first + 5] + 0)
      -- The published formula can land a hair below the threshold that it is meant to reach.
      if confidence >= ARGV[first + 6] - 1e-9 then
        return 0
      end
    end
    write_pressure(hash, ARGV[first], ARGV[first + 1] + 0, ARGV[first + 2] + 0)
    return 1
  end

  local function look(hash)
    return look_at('HSET', hash, 'HLEN') or denied('HGET', hash)
  end

  cycles.looks = {DECLARE = look, AMPLIFY = look, PRESS = look}

  function cycles.looks.RELEASE(hash, first, last)
    local evidence = last > first + 2 and key_at(first + 3)
    return look(hash) or evidence and look_at('HGET', evidence, 'HLEN') or nil
  end

  return cycles
end

for _, name in ipairs({'DECLARE', 'AMPLIFY', 'PRESS', 'RELEASE'}) do
  MAKERS[name] = make_cycles
end
