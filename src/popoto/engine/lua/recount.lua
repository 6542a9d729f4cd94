-- recount.lua: bring a text field's list of distinct texts in step with its value sets.
--
-- KEYS   1 sorted set of the texts · 2 hash of how many records they cover
-- ARGV   prefix       put before a key made here (cluster hash tag, or "")
--        field        its field in KEYS[2]
--        set-prefix   a text's set key up to the text
--
-- Texts without a set are removed; the count becomes the sum of the sets of all others and
-- of the set of null.
-- Reply  the count
-- Cost   O(distinct texts), in one step: some 50 ms per 100,000

local call = redis.call
local escape = make_escaping().escape
local prefix, field, set_prefix = ARGV[1], ARGV[2], ARGV[3]

local total, counted = 0, {}

local function count(set)
  if counted[set] == nil then
    local size = redis.pcall('SCARD', set)
    if type(size) ~= 'number' then
      size = 0
    end
    counted[set] = size
    total = total + size
  end
  return counted[set]
end

for _, text in ipairs(call('ZRANGE', KEYS[1], 0, -1)) do
  if count(prefix .. set_prefix .. escape(text)) == 0 then
    call('ZREM', KEYS[1], text)
  end
end
count(prefix .. set_prefix .. 'None')
if total == 0 then
  call('HDEL', KEYS[2], field)
else
  call('HSET', KEYS[2], field, total)
end
return total
