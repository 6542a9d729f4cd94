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

local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'none' and kind ~= 'stream' then
  return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' is to take dead letters and is a ' .. kind)
end

local function bury(id)
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  if not found then
    gone[#gone + 1] = id
    return
  end
  local letter = found[2]
  local function add(name, value)
    letter[#letter + 1] = name
    letter[#letter + 1] = value
  end
  add('original_stream', ARGV[7])
  add('original_id', id)
  add('failure_count', ARGV[8])
  add('last_error', ARGV[9])
  add('dead_letter_ts', ARGV[10])
  if ARGV[11] == '' then
    redis.call('XADD', KEYS[2], '*', unpack(letter))
  else
    redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[11], ARGV[12], '*', unpack(letter))
  end
  redis.call('XACK', KEYS[1], group, id)
  dead[#dead + 1] = id
end

local abandoned = redis.call('XPENDING', KEYS[1], group, 'IDLE', idle, '-', '+', count)
for _, pending in ipairs(abandoned) do
  local id, deliveries = pending[1], pending[4]
  if deliveries > max_deliveries then
    bury(id)
  else
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
