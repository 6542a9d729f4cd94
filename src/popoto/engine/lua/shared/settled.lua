-- shared/settled.lua: no script runs on a slot of a cluster whose keys are on their way to another
-- node one by one. A record would be missing here that is there, and a key that a script has
-- emptied, and looks at once more, would stop it half-way. Servers check KEYS alone, and only
-- before the first line. Two keys that nobody has tell it on both nodes. They begin like one of
-- ours, so that whoever may use that may ask for them.

if ARGV[1] ~= '' and KEYS[1] then
  local reply = redis.pcall('EXISTS', KEYS[1] .. '\0', KEYS[1] .. '\1')
  if type(reply) == 'table' and string.find(reply.err, 'non local key', 1, true) then
    return redis.error_reply('TRYAGAIN the slot of ' .. ARGV[1] .. ' is being moved')
  end
end
