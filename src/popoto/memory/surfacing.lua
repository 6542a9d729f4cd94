-- memory/surfacing.lua: proposals that are pending, in one sorted set for each partition.
--
-- WITHDRAW  partitions stem member [name]   nowhere is the member pending any more; with another
--           name, that one is instead. A partition where nothing is left is listed no more.
--           Reply: from how many it went
-- PENDING   partitions stem member          where it is pending: partition, moment, ...

local function make_surfacing()
  -- Popoto 1.6 keeps no list of partitions; "default" is the one that it uses.
  local function names_in(partitions)
    local names = reading(false, 'SMEMBERS', partitions) or {}
    names[#names + 1] = 'default'
    return names
  end

  local function look_at_names(partitions)
    return unlike(partitions, 'SCARD') or denied('SMEMBERS', partitions)
  end

  return {
    PENDING = function(partitions, first)
      local found = {}
      for _, name in ipairs(names_in(partitions)) do
        local since = call('ZSCORE', prefix .. ARGV[first] .. name, ARGV[first + 1])
        if since then
          found[#found + 1], found[#found + 2] = name, since
        end
      end
      return found
    end,

    WITHDRAW = function(partitions, first, last)
      local names = names_in(partitions)
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
        if #names > 1 and call('EXISTS', pending) == 0 then
          call('SREM', partitions, name)
        end
      end
      return gone
    end,

    looks = {
      PENDING = function(partitions, first)
        local failure = look_at_names(partitions)
        for _, name in ipairs(failure and {} or names_in(partitions)) do
          local pending = prefix .. ARGV[first] .. name
          failure = failure or unlike(pending, 'ZCARD') or denied('ZSCORE', pending)
        end
        return failure
      end,
      WITHDRAW = function(partitions, first)
        local failure = look_at_names(partitions) or denied('SREM', partitions)
        for _, name in ipairs(failure and {} or names_in(partitions)) do
          local pending = prefix .. ARGV[first] .. name
          failure = failure or look_at('ZREM', pending, 'ZCARD') or denied('ZSCORE', pending)
            or denied('ZADD', pending) or denied('EXISTS', pending)
        end
        return failure
      end,
    },
  }
end

MAKERS.WITHDRAW, MAKERS.PENDING = make_surfacing, make_surfacing
