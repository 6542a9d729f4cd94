-- memory/composite/signals.lua: where the scores of records come from. Each kind has
--
--   read    take the signal's arguments
--   all     all members of its index, and a list of their scores: numbers, or false
--   of      a list of the scores of given records
--   top     the members with the n highest scores, weighted, and the most that any other one has
--           (0 or more: who is absent has 0); nil where that is not known without reading all
--
--   scores K                       a sorted set, its scores as they are
--   decay K B rate field           moments in K, decayed; base scores in B (0: none kept), or in a
--                                  field of the record ("": none)
--   cyclic K B C P rate field      and what cycles in C and pressure in P add
--   confidence H initial           evidence in a hash
--   access K stem                  confirmed reads, in a hash of each record; K: the records' keys
--   given n key number ...         numbers from the caller
--   spread n key ... stem depth decay threshold most
--                                  activation that spreads from these keys along edges (spreading.lua)
--
-- A kind that is `named` knows few records: where all are, no others are looked at.

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

-- The n members at one end of a sorted set, and the last score.
local function end_of(key, highest, n)
  local members, values = apart(call(highest and 'ZREVRANGE' or 'ZRANGE', key, 0, n - 1, 'WITHSCORES'))
  return members, #members == n and number_of(values[n]) or nil
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

function SIGNALS.scores.top(signal, n)
  local members, last = end_of(signal.key, signal.weight > 0, n)
  return members, last and math.max(signal.weight * last, 0) or 0
end

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

-- Nobody else has a higher factor, or a higher base, than the last of those that have the highest.
function SIGNALS.decay.top(signal, n)
  if signal.base == '' and signal.weight < 0 then
    return {}, 0
  end
  local members, last = end_of(signal.key, true, n)
  local most = last and signal.weight * factor_of(last, signal.now, signal.rate) or 0
  if signal.base == '' or not last then
    return members, most
  elseif signal.weight < 0 or not signal.bases
    or call('ZCARD', signal.bases) ~= call('ZCARD', signal.key) then
    return nil
  end
  local others, base = end_of(signal.bases, true, n)
  for index = 1, #others do
    members[#members + 1] = others[index]
  end
  return members, math.max(product(base, most), 0)
end

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
  top = function(signal)
    return {}, math.max(signal.weight, 0)
  end,
}

local function count_of(text)
  local count = text and tonumber(text)
  return count and count ~= 0 and count or false
end

-- The counts of all records by one command, in two lists; nil where their keys are not complete, or
-- servers do not allow it (a cluster does not).
local function all_counts(signal)
  if call('ZCARD', signal.key) < size_of_class() then
    return nil
  end
  local flat = redis.pcall('SORT_RO', signal.key, 'BY', 'nosort', 'GET', '#',
    'GET', prefix .. signal.stem .. '*->access_count')
  if flat.err then
    return nil
  end
  local members, counts = {}, {}
  for index = 2, #flat, 2 do
    local count = count_of(flat[index])
    if count then
      members[#members + 1] = flat[index - 1]
      counts[#counts + 1] = count
    end
  end
  return members, counts
end

local function counts_one_by_one(signal, list)
  local counts, stem = {}, prefix .. signal.stem
  for index = 1, #list do
    counts[index] = count_of(call('HGET', stem .. list[index], 'access_count'))
  end
  return counts
end

local function counts_of(signal, list)
  if #list * 3 > size_of_class() then
    local members, found = all_counts(signal)
    if members then
      local by_key, counts = {}, {}
      for index = 1, #members do
        by_key[members[index]] = found[index]
      end
      for index = 1, #list do
        counts[index] = by_key[list[index]] or false
      end
      return counts
    end
  end
  return counts_one_by_one(signal, list)
end

SIGNALS.access = {
  read = function(signal)
    signal.key, signal.stem = take_key(), take()
  end,
  all = function(signal)
    local members, counts = all_counts(signal)
    if members then
      return members, counts
    end
    members = call('SMEMBERS', CLASS)
    return members, counts_one_by_one(signal, members)
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

-- A kind that has numbers of few records.
local function of_numbers(read)
  return {
    named = true,
    read = read,
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
end

SIGNALS.given = of_numbers(function(signal)
  signal.numbers = {}
  for _ = 1, take() + 0 do
    local key = take()
    signal.numbers[key] = number_of(take())
  end
end)

SIGNALS.spread = of_numbers(function(signal)
  local seeds, stem = take_list(), prefix .. take()
  local depth, decay, threshold = take() + 0, take() + 0, take() + 0
  signal.numbers = spread_from(seeds, stem, depth, decay, threshold, take() + 0)
end)
