-- memory/prediction/resolving.lua: an open prediction is resolved with an error that is known.
--
-- RESOLVE  entries member errors error mode moment
--          Mark the prediction as resolved and note the absolute error. Reply 1; 0 where there is none,
--          or none that is open. Tells "resolved" (see WHEN in telling.lua)
-- MISNOTED entries member errors   1: the error of a resolved prediction is not noted as it is; 0
-- RENOTE   entries member errors   note it. Reply: whether it was not
--
-- The entry is a MessagePack map. The server's decoder knows neither bytes nor the difference between
-- lists and maps that are empty, so what was predicted is copied as it stands.

local function make_resolving()
  -- How many bytes a value of a fixed size takes after its first.
  local FIXED = {
    [192] = 0, [194] = 0, [195] = 0, [202] = 4, [203] = 8, [204] = 1, [205] = 2, [206] = 4, [207] = 8,
    [208] = 1, [209] = 2, [210] = 4, [211] = 8, [212] = 2, [213] = 3, [214] = 5, [215] = 9, [216] = 17,
  }
  -- Texts, bytes and extensions: how many bytes tell their length, and how many come on top.
  local SIZED = {
    [196] = {1, 0}, [197] = {2, 0}, [198] = {4, 0}, [199] = {1, 1}, [200] = {2, 1}, [201] = {4, 1},
    [217] = {1, 0}, [218] = {2, 0}, [219] = {4, 0},
  }
  -- Lists and maps: how many bytes tell their length, and how many values each item has.
  local NESTED = {[220] = {2, 1}, [221] = {4, 1}, [222] = {2, 2}, [223] = {4, 2}}

  local function number_at(bytes, at, width)
    local number = 0
    for place = at, at + width - 1 do
      number = number * 256 + string.byte(bytes, place)
    end
    return number
  end

  -- Where the value ends that begins at a place: the place behind it.
  local function end_of(bytes, at)
    local waiting = 1
    while waiting > 0 do
      local head = string.byte(bytes, at)
      if not head or head == 193 then
        error('no MessagePack')
      end
      waiting = waiting - 1
      at = at + 1
      if head >= 128 and head <= 143 then
        waiting = waiting + 2 * (head - 128)
      elseif head >= 144 and head <= 159 then
        waiting = waiting + head - 144
      elseif head >= 160 and head <= 191 then
        at = at + head - 160
      elseif FIXED[head] then
        at = at + FIXED[head]
      elseif SIZED[head] then
        local width, more = SIZED[head][1], SIZED[head][2]
        at = at + width + more + number_at(bytes, at, width)
      elseif NESTED[head] then
        local width, each = NESTED[head][1], NESTED[head][2]
        waiting = waiting + each * number_at(bytes, at, width)
        at = at + width
      end
    end
    if at > #bytes + 1 then
      error('no MessagePack')
    end
    return at
  end

  -- The stored bytes of each value of a map with texts as keys.
  local function values_of(bytes)
    local head, at, number = string.byte(bytes), 2, nil
    if head and head >= 128 and head <= 143 then
      number = head - 128
    elseif head == 222 then
      number, at = number_at(bytes, 2, 2), 4
    else
      error('no map')
    end
    local found = {}
    for _ = 1, number do
      local behind_name = end_of(bytes, at)
      local name = cmsgpack.unpack(string.sub(bytes, at, behind_name - 1))
      local behind = end_of(bytes, behind_name)
      found[name] = string.sub(bytes, behind_name, behind - 1)
      at = behind
    end
    return found
  end

  local EMPTY_MAP = '\128'

  local function packed_text(text)
    return #text < 32 and packed_name(text) or cmsgpack.pack(text)
  end

  local resolving = {}

  function resolving.RESOLVE(entries, first)
    local member, errors = ARGV[first], key_at(first + 1)
    local mistake, mode, moment = ARGV[first + 2] + 0, ARGV[first + 3], ARGV[first + 4]
    local bytes = call('HGET', entries, member)
    local readable, found = pcall(values_of, bytes or '')
    if not readable or (found.resolved or NULL) ~= NULL and found.resolved ~= '\194' then
      return 0
    end
    call('HSET', entries, member, '\134' .. packed_name('predicted') .. (found.predicted or EMPTY_MAP)
      .. packed_name('resolved') .. '\195'
      .. packed_name('resolution_mode') .. packed_text(mode)
      .. packed_name('prediction_error') .. packed_float(mistake)
      .. packed_name('resolved_at') .. packed_text(moment)
      .. packed_name('recorded_at') .. (found.recorded_at or NULL))
    call('ZADD', errors, math.abs(mistake), member)
    told.resolved = text_of_float(mistake)
    return 1
  end

  -- The absolute error of a prediction that is resolved; nil for any other, and for what is no number.
  local function error_of(bytes)
    local readable, found = pcall(values_of, bytes)
    if not readable or found.resolved ~= '\195' or not found.prediction_error then
      return nil
    end
    local mistake = tonumber(cmsgpack.unpack(found.prediction_error))
    return mistake and mistake == mistake and math.abs(mistake) or nil
  end

  function resolving.MISNOTED(entries, first)
    local mistake = error_of(call('HGET', entries, ARGV[first]) or '')
    local noted = mistake and call('ZSCORE', key_at(first + 1), ARGV[first])
    return mistake and (not noted or tonumber(noted) ~= mistake) and 1 or 0
  end

  function resolving.RENOTE(entries, first)
    local mistake = error_of(call('HGET', entries, ARGV[first]) or '')
    return mistake and call('ZADD', key_at(first + 1), mistake, ARGV[first]) or 0
  end

  local function look_at_question(entries, first)
    local errors = key_at(first + 1)
    return unlike(entries, 'HLEN') or denied('HGET', entries) or unlike(errors, 'ZCARD')
      or denied('ZSCORE', errors)
  end

  resolving.looks = {
    MISNOTED = look_at_question,
    RENOTE = function(entries, first)
      return look_at_question(entries, first) or look_at('ZADD', key_at(first + 1), 'ZCARD')
    end,
    RESOLVE = function(entries, first)
      return look_at('HSET', entries, 'HLEN') or denied('HGET', entries)
        or look_at('ZADD', key_at(first + 1), 'ZCARD')
    end,
  }

  return resolving
end

MAKERS.RESOLVE, MAKERS.MISNOTED, MAKERS.RENOTE = make_resolving, make_resolving, make_resolving
