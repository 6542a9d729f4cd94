-- memory/composite/signals.lua: where the scores of records come from. Each kind has
--
--   read    take the signal's arguments
--   all     all members of its index, and a list of their scores: numbers, or false
--   of      a list of the scores of given records
--
--   scores K                       a sorted set, its scores as they are
--   decay K B rate field           moments in K, decayed; base scores in B (0: none kept), or in a
--                                  field of the record ("": none)
--   cyclic K B C P rate field      and what cycles in C and pressure in P add
--   confidence H initial           evidence in a hash
--   access stem                    confirmed reads, in a hash of each record
--   given n key number ...         numbers from the caller

local SIGNALS = {}

-- What alternates in a reply, as two lists.
local function apart(flat)
  local members, values = {}, {}
  for index = 1, #flat, 2 do
    members[#members + 1] = flat[index]
    values[#values + 1] = flat[index + 1]
  end
  return members, values
end

local function looked_up(command, key, list)
  local values = {}
  in_chunks(list, function(first, last)
    local replies = call(command, key, unpack(list, first, last))
    for index = 1, #replies do
      values[#values + 1] = replies[index]
    end
  end)
  return values
end

local function number_of(text)
  return tonumber(text) or (bound(text))
end

-- A kind whose index is a sorted set.
local function of_sorted_set(read, evaluate)
  return {
    read = read,
    all = function(signal)
      local members, values = apart(call('ZRANGE', signal.key, 0, -1, 'WITHSCORES'))
      return members, evaluate(signal, members, values)
    end,
    of = function(signal, list)
      return evaluate(signal, list, looked_up('ZMSCORE', signal.key, list))
    end,
  }
end

SIGNALS.scores = of_sorted_set(
  function(signal)
    signal.key = take_key()
  end,
  function(_, _, values)
    for index = 1, #values do
      values[index] = values[index] and number_of(values[index])
    end
    return values
  end
)

-- The base scores of records that have a moment.
local function bases_of(signal, members, moments)
  if signal.bases and call('ZCARD', signal.bases) == call('ZCARD', signal.key) then
    local bases = looked_up('ZMSCORE', signal.bases, members)
    for index = 1, #bases do
      bases[index] = bases[index] and number_of(bases[index]) or 1
    end
    return bases
  end
  local bases = {}
  for index = 1, #members do
    bases[index] = moments[index]
      and base_of(call('HGET', prefix .. members[index], signal.base)) or 1
  end
  return bases
end

-- Moments become scores.
local function decayed(signal, members, moments)
  local bases = signal.base ~= '' and bases_of(signal, members, moments)
  local now, rate = signal.now, signal.rate
  for index = 1, #members do
    local moment = moments[index]
    if moment then
      moments[index] = product(bases and bases[index] or 1, factor_of(moment, now, rate))
    end
  end
  return moments
end

local function read_decay(signal)
  signal.rate, signal.base = take() + 0, take()
end

SIGNALS.decay = of_sorted_set(
  function(signal)
    signal.key, signal.bases = take_key(), take_key()
    read_decay(signal)
  end,
  decayed
)

SIGNALS.cyclic = of_sorted_set(
  function(signal)
    signal.key, signal.bases = take_key(), take_key()
    signal.cycles, signal.tensions = take_key(), take_key()
    read_decay(signal)
  end,
  function(signal, members, moments)
    local found, now = decayed(signal, members, moments), signal.now
    local cycles = looked_up('HMGET', signal.cycles, members)
    local tensions = looked_up('HMGET', signal.tensions, members)
    for index = 1, #members do
      if found[index] then
        found[index] = found[index] + resonance_of(cycles[index], now)
          + pressure_of(tensions[index], now)
      end
    end
    return found
  end
)

-- Evidence becomes confidence. Much of it is the same: what records begin with.
local function confidences_of(signal, evidence)
  local known = {}
  for index = 1, #evidence do
    local bytes = evidence[index]
    if bytes then
      local confidence = known[bytes]
      if not confidence then
        confidence = confidence_in(bytes) or signal.initial
        known[bytes] = confidence
      end
      evidence[index] = confidence
    end
  end
  return evidence
end

SIGNALS.confidence = {
  read = function(signal)
    signal.key, signal.initial = take_key(), take() + 0
  end,
  all = function(signal)
    local members, evidence = apart(call('HGETALL', signal.key))
    return members, confidences_of(signal, evidence)
  end,
  of = function(signal, list)
    return confidences_of(signal, looked_up('HMGET', signal.key, list))
  end,
}

local function counts_of(signal, list)
  local counts, stem = {}, prefix .. signal.stem
  for index = 1, #list do
    local count = call('HGET', stem .. list[index], 'access_count')
    count = count and tonumber(count)
    counts[index] = count and count ~= 0 and count or false
  end
  return counts
end

SIGNALS.access = {
  read = function(signal)
    signal.stem = take()
  end,
  all = function(signal)
    local members = call('SMEMBERS', CLASS)
    return members, counts_of(signal, members)
  end,
  of = counts_of,
}

local function numbers_of(signal, list)
  local numbers = {}
  for index = 1, #list do
    numbers[index] = signal.numbers[list[index]] or false
  end
  return numbers
end

SIGNALS.given = {
  read = function(signal)
    signal.numbers = {}
    for _ = 1, take() + 0 do
      local key = take()
      signal.numbers[key] = number_of(take())
    end
  end,
  all = function(signal)
    local members = {}
    for key in pairs(signal.numbers) do
      members[#members + 1] = key
    end
    -- Any key may be named: only records of the model are found.
    members = where_replied(members, 'SMISMEMBER', CLASS, is_one)
    return members, numbers_of(signal, members)
  end,
  of = numbers_of,
}
