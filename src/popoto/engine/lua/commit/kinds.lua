-- commit/kinds.lua: keys that go away, and keys that are to be of a type, whatever becomes of them.

local function make_kinds()
  local measures = {set = 'SCARD', zset = 'ZCARD', hash = 'HLEN', list = 'LLEN', stream = 'XLEN',
    string = 'STRLEN'}

  -- What stands there goes away, whatever it is, unless a KIND before has refused it.
  local function look_at_removal(key, _, _, name)
    seen[key] = true
    return denied(name, key)
  end

  return {
    KIND = function()
      return 0
    end,
    looks = {
      KIND = function(key, first)
        return unlike(key, measures[ARGV[first]])
      end,
      DEL = look_at_removal, UNLINK = look_at_removal,
    },
  }
end
