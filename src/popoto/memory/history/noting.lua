-- memory/history/noting.lua: a change of what a record's memory holds is noted in its history.
--
-- NOTED  key head... command arguments...   carry a command out on the key. Where that changes what
--        it is about, entries tell of it, before and after. Reply: the command's
-- NOTE   key head... before after           an entry of a change that the caller knows
--
-- head   stream record stem most oldest at by kind field cause outcome signal
--        stem: what the streams of the shard's records begin with. most: how many entries are
--        kept, "" for all. oldest: entries from before that moment go, "" for none
-- entry  at by kind field target from to cause outcome signal evidence ("" for none), in a stream
--        that lasts as long as the record. Where there is no record there is no entry
--
-- Kinds differ in how their state is read (`states`); edges are noted by those who change them (edges.lua).

local function make_noting()
  local HEAD = 12
  local noting = {}

  local function number_of(bytes)
    local decoded, found = pcall(cmsgpack.unpack, bytes or '')
    return decoded and type(found) == 'number' and text_of_number(found) or ''
  end

  -- What stands there, to tell whether it has changed; as an entry tells it; how much evidence.
  local states = {}

  function states.confidence(hash, first, _, name)
    local bytes = call('HGET', name == 'SETTLE' and key_at(first + 1) or hash, ARGV[first])
    local confidence, evidence = parts[make_learning].read(bytes)
    if not confidence and name == 'LEARN' then
      confidence, evidence = ARGV[first + 2] + 0, 0
    end
    return bytes, confidence and text_of_number(confidence) or '', evidence
  end

  function states.decay(_, _, head)
    local bytes = call('HGET', key_at(head + 1), ARGV[head + 8])
    return bytes, number_of(bytes)
  end

  function states.cycle(hash, first)
    local bytes = call('HGET', hash, ARGV[first])
    return bytes, bytes or ''
  end

  function states.pressure(hash, first)
    local rate, resolved = tension_of(call('HGET', hash, ARGV[first]))
    local text = rate and text_of_number(resolved) or ''
    return text, text
  end

  function states.access(_, first)
    local count = call('HGET', key_at(first + 1), 'access_count') or '0'
    return count, count
  end

  -- The earliest moment from which the record is pending.
  function states.proposal(key, first, _, name)
    local since
    if name == 'ZREM' then
      since = call('ZSCORE', key, ARGV[first])
    else
      local names = call('SMEMBERS', key)
      names[#names + 1] = 'default'
      for _, each in ipairs(names) do
        local found = call('ZSCORE', prefix .. ARGV[first] .. each, ARGV[first + 1])
        if found and (not since or found + 0 < since + 0) then
          since = found
        end
      end
    end
    return since, since or ''
  end

  local function forget_older(stream, oldest)
    local found = call('XRANGE', stream, '-', '+', 'COUNT', 1)
    while found[1] and (tonumber(found[1][2][2]) or oldest) < oldest do
      call('XDEL', stream, found[1][1])
      found = call('XRANGE', stream, '-', '+', 'COUNT', 1)
    end
  end

  local function write(stream, record, head, target, before, after, evidence)
    local remaining = call('PTTL', record)
    if remaining == -2 then
      return 0
    end
    local words = {
      '*', 'at', ARGV[head + 5], 'by', ARGV[head + 6], 'kind', ARGV[head + 7],
      'field', ARGV[head + 8], 'target', target, 'from', before, 'to', after,
      'cause', ARGV[head + 9], 'outcome', ARGV[head + 10], 'signal', ARGV[head + 11],
      'evidence', evidence or '',
    }
    if ARGV[head + 3] ~= '' then
      call('XADD', stream, 'MAXLEN', '=', ARGV[head + 3], unpack(words))
    else
      call('XADD', stream, unpack(words))
    end
    if ARGV[head + 4] ~= '' then
      forget_older(stream, ARGV[head + 4] + 0)
    end
    if remaining >= 0 then
      call('PEXPIRE', stream, remaining)
    end
    return 1
  end

  local function carry_out(name, key, first, last)
    local step = step_named(name)
    if step then
      return step(key, first, last)
    end
    return redis.pcall(name, key, unpack(ARGV, first, last))
  end

  -- The records at both ends of an edge have it in their histories, each as its own.
  local function note_edges(name, key, head, last)
    local first = head + HEAD + 1
    local edge_stem, own, other = prefix .. ARGV[first], ARGV[first + 2], ARGV[first + 3]
    changed_edges = {}
    local reply, noted = carry_out(name, key, first, last), changed_edges
    changed_edges = nil
    for _, each in ipairs(noted) do
      local source, target, before = each[1], each[2], each[3]
      local after = call('ZSCORE', edge_stem .. source, target)
      -- A record that goes or moves takes its edges along; it is the others that lose one.
      local is_its_own = (name == 'FORSAKE' or name == 'REKEY') and source == own
        or name == 'REKEY' and source == other
      if before ~= after and not is_its_own then
        write(prefix .. ARGV[head + 2] .. source, prefix .. source, head, target,
          before or '', after or '')
      end
    end
    return reply
  end

  function noting.NOTED(key, head, last)
    local kind, name, first = ARGV[head + 7], ARGV[head + HEAD], head + HEAD + 1
    if kind == 'link' then
      return note_edges(name, key, head, last)
    end
    local state = states[kind]
    local was, before = state(key, first, head, name)
    local reply = carry_out(name, key, first, last)
    local is, after, evidence = state(key, first, head, name)
    if is ~= was then
      write(key_at(head), key_at(head + 1), head, '', before, after, evidence)
    end
    return reply
  end

  function noting.NOTE(_, head)
    return write(key_at(head), key_at(head + 1), head, '', ARGV[head + HEAD], ARGV[head + HEAD + 1])
  end

  local function look_at_stream(stream, record, head)
    return look_at('XADD', stream, 'XLEN') or denied('PTTL', record) or denied('PEXPIRE', stream)
      or ARGV[head + 4] ~= '' and (denied('XRANGE', stream) or denied('XDEL', stream)) or nil
  end

  -- What is read of a state, besides what the command itself looks at.
  local reads = {
    decay = function(_, _, head)
      return denied('HGET', key_at(head + 1))
    end,
    cycle = function(hash)
      return denied('HGET', hash)
    end,
    proposal = function(key, _, _, name)
      return name == 'ZREM' and denied('ZSCORE', key) or nil
    end,
  }
  reads.pressure = reads.cycle

  noting.looks = {
    NOTED = function(key, head, last)
      local kind, name, first = ARGV[head + 7], ARGV[head + HEAD], head + HEAD + 1
      local measure = key and SIZES[name]
      if kind == 'link' then
        function look_at_history(record)
          return look_at_stream(prefix .. ARGV[head + 2] .. record, prefix .. record, head)
        end
      end
      local failure
      if measure then
        failure = look_at(name, key, measure)
      else
        failure = look_named(name)(key, first, last, name)
      end
      look_at_history = nil
      return failure or reads[kind] and reads[kind](key, first, head, name)
        or look_at_stream(key_at(head), key_at(head + 1), head)
    end,
    NOTE = function(_, head)
      return look_at_stream(key_at(head), key_at(head + 1), head)
    end,
  }

  return noting
end

MAKERS.NOTED, MAKERS.NOTE = make_noting, make_noting
