-- memory/telling.lua: commands that follow from what this call has computed.
--
-- TELL    stream arguments...   XADD; "\0" and a name stands for what an earlier command has told
-- WHEN    key name command arguments...   carry out a command on the key, if `name` was told
-- UNTELL  - names...            what was told of another record is forgotten

local function make_telling()
  local telling = {}

  function telling.TELL(stream, first, last)
    local words = {}
    for index = first, last do
      local word = ARGV[index]
      words[#words + 1] = string.byte(word) == 0 and told[string.sub(word, 2)] or word
    end
    return call('XADD', stream, unpack(words))
  end

  function telling.WHEN(key, first, last)
    return told[ARGV[first]] and step_named(ARGV[first + 1])(key, first + 2, last) or 0
  end

  function telling.UNTELL(_, first, last)
    for index = first, last do
      told[ARGV[index]] = nil
    end
    return 0
  end

  telling.looks = {
    TELL = function(stream)
      return look_at('XADD', stream, 'XLEN')
    end,
    WHEN = function(key, first, last)
      local name = ARGV[first + 1]
      return look_named(name)(key, first + 2, last, name)
    end,
    UNTELL = function()
      return nil
    end,
  }

  return telling
end

MAKERS.TELL, MAKERS.WHEN, MAKERS.UNTELL = make_telling, make_telling, make_telling
