-- memory/confidence/learning.lua: confidence learns from a signal. The formula is in formula.py.
--
-- LEARN  hash member signal initial lowers record field [bases...]
--        One signal for the confidence of a member, `initial` if it has none. lowers "1": only where
--        that lowers it. The record's field gets the new value as well, and so do sorted sets in
--        which it is a base score.
--        Reply: confidence (text), evidence, corroborations, contradictions
-- SETTLE hash member to   move the evidence of a member to another hash, unless that has some: -1

local function make_learning()
  local learning = {}

  -- A whole number from 0; 0 for anything else.
  local function count_in(value)
    return type(value) == 'number' and value >= 0 and value < 2 ^ 53 and math.floor(value) or 0
  end

  -- confidence, evidence, corroborations, contradictions; nil where there is nothing to read.
  local function read(bytes)
    local found = unpacked_table(bytes)
    if not found then
      return nil
    end
    local confidence = found.confidence or found[1]
    if type(confidence) ~= 'number' or confidence - confidence ~= 0 then
      return nil
    end
    return confidence, count_in(found.evidence_count or found[2]),
      count_in(found.corroborations or found[3]), count_in(found.contradictions or found[4])
  end

  learning.read = read

  function learning.confidence_of(hash, member, initial)
    return (read(call('HGET', hash, member))) or initial
  end

  function learning.LEARN(hash, first, last)
    local member, signal, initial = ARGV[first], ARGV[first + 1] + 0, ARGV[first + 2] + 0
    local confidence, evidence, corroborations, contradictions = read(call('HGET', hash, member))
    if not confidence then
      confidence, evidence, corroborations, contradictions = initial, 0, 0, 0
    end
    if ARGV[first + 3] ~= '1' or signal < confidence then
      evidence = evidence + 1
      confidence = confidence + (signal - confidence) / math.sqrt(evidence)
      confidence = math.min(math.max(confidence, 0), 1)
      if signal >= 0.5 then
        corroborations = corroborations + 1
      else
        contradictions = contradictions + 1
      end
      call('HSET', hash, member, '\132' .. packed_name('confidence') .. packed_float(confidence)
        .. packed_name('evidence_count') .. packed_count(evidence)
        .. packed_name('corroborations') .. packed_count(corroborations)
        .. packed_name('contradictions') .. packed_count(contradictions))
      call('HSET', key_at(first + 4), ARGV[first + 5], packed_float(confidence))
      for index = first + 6, last do
        call('ZADD', key_at(index), string.format('%.17g', confidence), member)
      end
    end
    told.learned = text_of_float(confidence)
    return {told.learned, evidence, corroborations, contradictions}
  end

  function learning.SETTLE(hash, first)
    local member, target = ARGV[first], key_at(first + 1)
    local bytes = call('HGET', hash, member)
    if not bytes then
      return 0
    end
    local _, evidence = read(call('HGET', target, member))
    if evidence and evidence > 0 then
      return -1
    end
    call('HSET', target, member, bytes)
    call('HDEL', hash, member)
    return 1
  end

  learning.looks = {
    LEARN = function(hash, first, last)
      local failure = look_at('HSET', hash, 'HLEN') or denied('HGET', hash)
        or look_at('HSET', key_at(first + 4), 'HLEN')
      for index = first + 6, last do
        failure = failure or look_at('ZADD', key_at(index), 'ZCARD')
      end
      return failure
    end,
    SETTLE = function(hash, first)
      return look_at('HDEL', hash, 'HLEN') or denied('HGET', hash)
        or look_at('HSET', key_at(first + 1), 'HLEN') or denied('HGET', key_at(first + 1))
    end,
  }

  return learning
end

MAKERS.LEARN, MAKERS.SETTLE = make_learning, make_learning
