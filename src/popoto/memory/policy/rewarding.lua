-- memory/policy/rewarding.lua: the value of an action learns from rewards (Q-learning, Watkins 1989).
--
-- REWARD  index member record field reward future alpha gamma
--         difference = reward + gamma * future - value; value + alpha * difference is the new one. Without
--         a value it is 0. Reply: difference, value (texts)
-- VALUE   index member record field value   set it

local function make_rewarding()
  local rewarding = {}

  local function keep(index, first, value)
    call('HSET', key_at(first + 1), ARGV[first + 2], packed_float(value))
    call('ZADD', index, string.format('%.17g', value), ARGV[first])
  end

  function rewarding.REWARD(index, first)
    local before = tonumber(call('ZSCORE', index, ARGV[first]) or 0)
    local difference = ARGV[first + 3] + ARGV[first + 6] * ARGV[first + 4] - before
    local value = before + ARGV[first + 5] * difference
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
  rewarding.looks = {REWARD = look, VALUE = look}

  return rewarding
end

MAKERS.REWARD, MAKERS.VALUE = make_rewarding, make_rewarding
