-- memory/surfacing.lua: proposals that are pending, in one sorted set for each partition.
--
-- WITHDRAW  partitions stem member [name]   nowhere is the member pending any more; with another
--           name, that one is instead. Reply: from how many it went

local function make_surfacing()
  return {
    WITHDRAW = function(partitions, first, last)
      -- Popoto 1.6 keeps no list of partitions; this is the one that it uses.
      local names = call('SMEMBERS', partitions)
      names[#names + 1] = 'default'
      local stem, member, gone = prefix .. ARGV[first], ARGV[first + 1], 0
      for _, name in ipairs(names) do
        local pending = stem .. name
        local since = call('ZSCORE', pending, member)
        if since then
          call('ZREM', pending, member)
          gone = gone + 1
          if last > first + 1 then
            call('ZADD', pending, since, ARGV[first + 2])
          end
        end
      end
      return gone
    end,

    looks = {
      WITHDRAW = function(partitions, first)
        local failure = look_at('SMEMBERS', partitions, 'SCARD')
        local names = not failure and reading(false, 'SMEMBERS', partitions) or {}
        names[#names + 1] = 'default'
        for _, name in ipairs(names) do
          local pending = prefix .. ARGV[first] .. name
          failure = failure or look_at('ZREM', pending, 'ZCARD') or denied('ZSCORE', pending)
            or denied('ZADD', pending)
        end
        return failure
      end,
    },
  }
end

MAKERS.WITHDRAW = make_surfacing
