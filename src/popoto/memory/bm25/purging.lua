-- memory/bm25/purging.lua: what no document of an index stands for goes.
--
-- KEYS   stem, then keys of postings and of documents' terms
-- ARGV   prefix, number of keys of postings, their terms..., the documents' keys...
-- Reply  how many entries went
-- Cost   O(postings)

local call = redis.call
local stem, count, removed = KEYS[1], ARGV[2] + 0, 0

for index = 1, count do
  local key, term, gone = KEYS[1 + index], ARGV[2 + index], {}
  for _, member in ipairs(call('ZRANGE', key, 0, -1)) do
    if not call('ZSCORE', stem .. ':tf:' .. member, term) then
      gone[#gone + 1] = member
    end
  end
  for first = 1, #gone, 4000 do
    call('ZREM', key, unpack(gone, first, math.min(first + 3999, #gone)))
  end
  removed = removed + #gone
  local holders = call('ZCARD', key)
  if holders == 0 then
    call('ZREM', stem .. ':df', term)
  elseif (call('ZSCORE', stem .. ':df', term) or 0) + 0 ~= holders then
    call('ZADD', stem .. ':df', holders, term)
  end
end
for index = count + 1, #KEYS - 1 do
  if not call('ZSCORE', stem .. ':dl', ARGV[2 + index]) then
    removed = removed + call('DEL', KEYS[1 + index])
  end
end
return removed
