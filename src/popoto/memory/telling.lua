-- memory/telling.lua: an event that names what this call has computed.
--
-- TELL  stream arguments...   XADD; "\0" and a name stands for what an earlier command has told

local function make_telling()
  return {
    TELL = function(stream, first, last)
      local words = {}
      for index = first, last do
        local word = ARGV[index]
        words[#words + 1] = string.byte(word) == 0 and told[string.sub(word, 2)] or word
      end
      return call('XADD', stream, unpack(words))
    end,
  }
end

MAKERS.TELL = make_telling
LOOKS.TELL = function(stream)
  return unlike(stream, 'XLEN')
end
