-- upkeep.lua: read a page of index entries together with what the records they name hold.
--
-- Entries and records come from one moment, so an entry that contradicts its record does so
-- indeed. Writes nothing.
--
-- KEYS   index keys
-- ARGV   prefix       put before a record key to read it (cluster hash tag, or "")
--        budget       how many entries to read, about
--        field count, fields...   hash fields to read of each record
--        per key: type, cursor    "set", "zset", "hash" (hash field -> record), "names" (a hash
--                     whose fields are records) or "record" (the key is one); the cursor of the
--                     last call, or 0
--
-- Reply  {pages, records}
--        pages    per key {type found, cursor, entries}; the cursor is "" for a key that was not
--                 reached. Entries: set, names: record, ... · zset: record, score, ... ·
--                 hash: field, record, ...
--        records  {record, exists, {values...}} for each that an entry names, once
-- Cost   O(entries read)

local prefix, budget = ARGV[1], tonumber(ARGV[2])
local field_count = tonumber(ARGV[3])
local at = 4 + field_count
local call = redis.call

local scans = {set = 'SSCAN', zset = 'ZSCAN', hash = 'HSCAN', names = 'HSCAN'}

local records, seen = {}, {}

local function see(record)
  if seen[record] then
    return
  end
  seen[record] = true
  local key = prefix .. record
  local kind = call('TYPE', key).ok
  if kind ~= 'hash' then
    records[#records + 1] = {record, kind == 'none' and 0 or 2, {}}
  else
    records[#records + 1] = {record, 1, call('HMGET', key, unpack(ARGV, 4, 3 + field_count))}
  end
end

local used = 0
local pages = {}
for position, key in ipairs(KEYS) do
  local wanted, cursor = ARGV[at], ARGV[at + 1]
  at = at + 2
  local kind = wanted ~= 'record' and call('TYPE', key).ok or 'hash'
  if wanted == 'record' then
    see(string.sub(key, #prefix + 1))
    pages[position] = {kind, '0', {}}
  elseif used >= budget then
    pages[position] = {kind, '', {}}
  elseif kind ~= (wanted == 'names' and 'hash' or wanted) then
    pages[position] = {kind, '0', {}}
  else
    local entries = {}
    repeat
      local reply = call(scans[wanted], key, cursor, 'COUNT', math.max(budget - used, 10))
      cursor = reply[1]
      local found = reply[2]
      if wanted == 'set' then
        for index = 1, #found do
          entries[#entries + 1] = found[index]
          see(found[index])
        end
        used = used + #found
      else
        for index = 1, #found, 2 do
          see(found[wanted == 'hash' and index + 1 or index])
          entries[#entries + 1] = found[index]
          if wanted ~= 'names' then
            entries[#entries + 1] = found[index + 1]
          end
        end
        used = used + #found / 2
      end
    until cursor == '0' or used >= budget
    pages[position] = {kind, cursor, entries}
  end
end
return {pages, records}
