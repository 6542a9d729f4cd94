-- reclaim.lua: entries of a stream that were delivered and never acknowledged.
-- Those that were tried too often go to the dead letter stream; the others are claimed.
-- In one step, so that of several consumers one alone does either.
--
-- KEYS   stream, dead letter stream
-- ARGV   prefix           "": the keys are whole
--        group, consumer
--        idle             milliseconds since its last delivery that make an entry abandoned
--        max deliveries   an entry with more goes to the dead letter stream
--        count            look at this many abandoned entries, the oldest ones
--        original stream, failure count, last error, time   what a dead letter is told
--        trimming         "", "~" or "=", and the length to trim the dead letter stream to
--
-- Reply  {claimed, dead, gone}: of each claimed entry {id, deliveries, {field, value, ...}},
--        then the ids of dead letters, then of entries that the stream does not hold any more
-- Cost   O(count), plus the pending entries that are younger than `idle`

local group, consumer, idle = ARGV[2], ARGV[3], ARGV[4]
local max_deliveries, count = tonumber(ARGV[5]), ARGV[6]
local claimed, dead, gone = {}, {}, {}

-- What may be refused is found out first: of an entry that is claimed the consumer must hear.
local _, is_other = reading(false, 'XLEN', KEYS[2])
if is_other then
  return redis.error_reply("WRONGTYPE the key '" .. KEYS[2] .. "' holds a "
    .. redis.call('TYPE', KEYS[2]).ok .. ' where a stream belongs, which is to take dead letters. '
    .. 'Rename or delete that key.')
end
local abandoned = redis.call('XPENDING', KEYS[1], group, 'IDLE', idle, '-', '+', count)
local problem = hindrance or denied('XRANGE', KEYS[1]) or denied('XADD', KEYS[2])
  or denied('XACK', KEYS[1]) or denied('XCLAIM', KEYS[1])
if problem then
  return problem
end

-- Put an entry into the dead letter stream; an error reply where that takes no more.
local function bury(id)
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  if not found then
    gone[#gone + 1] = id
    return nil
  end
  local letter = found[2]
  for _, word in ipairs({
    'original_stream', ARGV[7], 'original_id', id, 'failure_count', ARGV[8],
    'last_error', ARGV[9], 'dead_letter_ts', ARGV[10],
  }) do
    letter[#letter + 1] = word
  end
  local added
  if ARGV[11] == '' then
    added = redis.pcall('XADD', KEYS[2], '*', unpack(letter))
  else
    added = redis.pcall('XADD', KEYS[2], 'MAXLEN', ARGV[11], ARGV[12], '*', unpack(letter))
  end
  if type(added) == 'table' and added.err then
    return added
  end
  redis.call('XACK', KEYS[1], group, id)
  dead[#dead + 1] = id
  return nil
end

-- Dead letters first: where the first is refused, nothing has been written.
for _, pending in ipairs(abandoned) do
  if pending[4] > max_deliveries then
    problem = bury(pending[1])
    if problem and #dead == 0 then
      return problem
    elseif problem then
      break
    end
  end
end
for _, pending in ipairs(abandoned) do
  local id, deliveries = pending[1], pending[4]
  if deliveries <= max_deliveries then
    local entry = redis.call('XCLAIM', KEYS[1], group, consumer, idle, id)[1]
    if entry then
      claimed[#claimed + 1] = {id, deliveries + 1, entry[2]}
    else
      gone[#gone + 1] = id
    end
  end
end
for _, id in ipairs(gone) do
  redis.call('XACK', KEYS[1], group, id)
end
return {claimed, dead, gone}
