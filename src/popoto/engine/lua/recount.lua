-- recount.lua: bring a text field's list of distinct texts in step with its value sets.
--
-- KEYS   1 sorted set of the texts · 2 hash of how many records they cover
-- ARGV   prefix       put before a key made here (cluster hash tag, or "")
--        field        its field in KEYS[2]
--        set-prefix   a text's set key up to the text
--
-- Texts without a set are removed; the count becomes the sum of the sets of all others and
-- of the set of null. A set that the user may not read ends it before anything is written.
-- Reply  the count; or {0, what, key, type, type that belongs there}
-- Cost   O(distinct texts), in one step: some 50 ms per 100,000

local escape = make_escaping().escape
local prefix, field, set_prefix = ARGV[1], ARGV[2], ARGV[3]
local total, counted, gone = 0, {}, {}

local function count(set)
  if counted[set] == nil then
    local size = reading(false, 'SCARD', set) or 0
    counted[set] = size
    total = total + size
  end
  return counted[set]
end

local function other_type(key, expected)
  return {0, 'type', key, redis.call('TYPE', key).ok, expected}
end

local texts, is_other = reading(false, 'ZRANGE', KEYS[1], 0, -1)
if is_other then
  return other_type(KEYS[1], 'zset')
end
local _, is_no_hash = reading(false, 'HLEN', KEYS[2])
if is_no_hash then
  return other_type(KEYS[2], 'hash')
end
for _, text in ipairs(texts or {}) do
  if count(prefix .. set_prefix .. escape(text)) == 0 then
    gone[#gone + 1] = text
  end
end
count(prefix .. set_prefix .. 'None')
local problem = hindrance or denied('ZREM', KEYS[1]) or denied('HDEL', KEYS[2])
  or denied('HSET', KEYS[2])
if problem then
  return problem
end
for _, text in ipairs(gone) do
  redis.call('ZREM', KEYS[1], text)
end
if total == 0 then
  redis.call('HDEL', KEYS[2], field)
else
  redis.call('HSET', KEYS[2], field, total)
end
return total
