-- memory/vectors/embedding.lua: vectors of records, in a hash of all of them, and their changes.
--
-- Every change of a vector has a number of its own: those who follow ask for what is newer than what
-- they have. The note says what the vectors are made with: model, dimensions, form, and an epoch,
-- which is another one wherever it was written anew.
--
-- EMBED    vectors member changes note vector model dimensions form epoch   a record has this vector
-- UNEMBED  vectors member changes note        it has none, which followers are told
-- REHOUSE  vectors member changes note name   another record key has it
-- UNNAME   set member                          it leaves a vector set (nearest.lua), if there is one
-- REFORM   vectors changes note model dimensions form epoch   a new note; all vectors go

local function make_embedding()
  local embedding = {}

  -- What a note says, and what was wanted, in words; nil where they agree or there is no note.
  local function other_model(note, model, dimensions, form)
    local found = reading(false, 'HMGET', note, 'model', 'dimensions', 'form')
    if not found or not found[2] then
      return nil
    end
    local is_other = found[2] ~= dimensions or found[3] ~= form
      or (model ~= '' and found[1] ~= '' and found[1] ~= model)
    if is_other then
      return {note, found[1] or '', found[2], found[3] or '', model, dimensions, form}
    end
  end

  local function tell(changes, note, member)
    call('ZADD', changes, call('HINCRBY', note, 'version', 1), member)
  end

  function embedding.EMBED(vectors, first)
    local member, changes, note = ARGV[first], key_at(first + 1), key_at(first + 2)
    call('HSET', vectors, member, ARGV[first + 3])
    if call('HSETNX', note, 'epoch', ARGV[first + 7]) == 1 then
      call('HSET', note, 'model', ARGV[first + 4], 'dimensions', ARGV[first + 5],
        'form', ARGV[first + 6])
    elseif ARGV[first + 4] ~= '' and call('HGET', note, 'model') == '' then
      call('HSET', note, 'model', ARGV[first + 4])
    end
    tell(changes, note, member)
    return 1
  end

  function embedding.UNEMBED(vectors, first)
    local member, changes, note = ARGV[first], key_at(first + 1), key_at(first + 2)
    if call('EXISTS', note) == 0 then
      return 0
    end
    call('HDEL', vectors, member)
    tell(changes, note, member)
    return 1
  end

  function embedding.REHOUSE(vectors, first)
    local member, changes, note, name = ARGV[first], key_at(first + 1), key_at(first + 2),
      ARGV[first + 3]
    local vector = call('HGET', vectors, member)
    call('HDEL', vectors, member)
    call('ZREM', changes, member)
    if vector then
      call('HSET', vectors, name, vector)
    else
      call('HDEL', vectors, name)
    end
    if call('EXISTS', note) == 1 then
      tell(changes, note, name)
    end
    return vector and 1 or 0
  end

  -- Servers without vector sets do not know the command, and have nothing to lose.
  function embedding.UNNAME(set, first)
    redis.pcall('VREM', set, ARGV[first])
    return 0
  end

  function embedding.REFORM(vectors, first)
    local changes, note = key_at(first), key_at(first + 1)
    call('DEL', vectors, changes, note)
    call('HSET', note, 'model', ARGV[first + 2], 'dimensions', ARGV[first + 3],
      'form', ARGV[first + 4], 'epoch', ARGV[first + 5])
    return 1
  end

  -- All of them write to the three keys.
  local function look(vectors, changes, note)
    return look_at('HSET', vectors, 'HLEN') or denied('HDEL', vectors) or denied('HGET', vectors)
      or look_at('ZADD', changes, 'ZCARD') or denied('ZREM', changes)
      or look_at('HSET', note, 'HLEN') or denied('HINCRBY', note) or denied('HSETNX', note)
      or denied('EXISTS', note) or denied('HGET', note)
  end

  local function look_at_change(vectors, first)
    return look(vectors, key_at(first + 1), key_at(first + 2))
  end

  embedding.looks = {
    UNEMBED = look_at_change, REHOUSE = look_at_change,
    UNNAME = function()
      return nil
    end,
    EMBED = function(vectors, first)
      local failure = look_at_change(vectors, first)
      local other = not failure and other_model(key_at(first + 2), ARGV[first + 4],
        ARGV[first + 5], ARGV[first + 6])
      return failure or other and make_refusing().refusal(0, 'model', other) or nil
    end,
    REFORM = function(vectors, first)
      local changes, note = key_at(first), key_at(first + 1)
      return denied('DEL', vectors) or denied('DEL', changes) or denied('DEL', note)
        or denied('HSET', note)
    end,
  }
  return embedding
end

MAKERS.EMBED, MAKERS.UNEMBED = make_embedding, make_embedding
MAKERS.REHOUSE, MAKERS.REFORM = make_embedding, make_embedding
MAKERS.UNNAME = make_embedding
