-- memory/policy/rewarding.lua: the value of an action learns from rewards (Q-learning, Watkins 1989).
--
-- REWARD  index member record field reward future alpha gamma
--         difference = reward + gamma * future - value; value + alpha * difference is the new one. Without
--         a value it is 0. Reply: difference, value (texts). Refused where that would be no finite number
-- VALUE   index member record field value   set it

local function make_rewarding()
  local rewarding = {}

  local function keep(index, first, value)
    call('HSET', key_at(first + 1), ARGV[first + 2], packed_float(value))
    call('ZADD', index, string.format('%.17g', value), ARGV[first])
  end

  -- How far a reward is from what was expected, and the value that is learned from that.
  local function learned(index, first)
    local before = tonumber(call('ZSCORE', index, ARGV[first]) or 0)
    local difference = ARGV[first + 3] + ARGV[first + 6] * ARGV[first + 4] - before
    return difference, before + ARGV[first + 5] * difference
  end

  function rewarding.REWARD(index, first)
    local difference, value = learned(index, first)
    keep(index, first, value)
    return {string.format('%.17g', difference), string.format('%.17g', value)}
  end

  function rewarding.VALUE(index, first)
    keep(index, first, ARGV[first + 3] + 0)
    return {'0', ARGV[first + 3]}
  end

  local function look(index, first)
    return look_at('ZADD', index, 'ZCARD') or denied('ZSCORE', index)
      or look_at('HSET', key_at(first + 1), 'HLEN')
  end

  local function look_at_value(index, first)
    local failure = look(index, first)
    if failure then
      return failure
    end
    local _, value = learned(index, first)
    if value - value ~= 0 then
      failure = redis.error_reply('ERR the value of ' .. ARGV[first] .. ' would be '
        .. tostring(value) .. ': give it another one by initialize_q_value(); nothing was written')
    end
    return failure
  end

  rewarding.looks = {REWARD = look_at_value, VALUE = look}

  return rewarding
end

MAKERS.REWARD, MAKERS.VALUE = make_rewarding, make_rewarding
