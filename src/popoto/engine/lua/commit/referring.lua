-- commit/referring.lua: no record may be left that refers to one that goes.

-- By the key of a set of referrers: the number of its guard, and the members that may stay in it.
local referred

local function make_referring()
  local referring = {}

  -- The guard: number set (member) ... It is decided once the commands are known: what they take
  -- out of the set may be in it, what they put in may not.
  function referring.unreferred(first, last)
    local may_stay = {}
    for index = first + 2, last do
      may_stay[ARGV[index]] = true
    end
    referred = referred or {}
    referred[key_at(first + 1)] = {number = ARGV[first] + 0, may_stay = may_stay, found = {}}
  end

  -- What the commands do to these sets.
  local function look_at_commands(first_command, count)
    local at = first_command
    for _ = 1, count do
      local name, key, last = ARGV[at], key_at(at + 1), at + 2 + ARGV[at + 2]
      local set = key and referred[key]
      for index = at + 3, set and last or 0 do
        if name == 'SREM' then
          set.may_stay[ARGV[index]] = true
        elseif name == 'SADD' then
          set.found[#set.found + 1] = ARGV[index]
        end
      end
      at = last + 1
    end
  end

  -- Members of a set that may not stay and are there, up to the first page that has any.
  local function look_at_members(key, set)
    local cursor = '0'
    repeat
      local page, is_other = reading(false, 'SSCAN', key, cursor, 'COUNT', 500)
      if is_other then
        failures[#failures + 1] = make_refusing().refuse_type(key, 'SCARD', set.number)
        return
      elseif not page then
        return
      end
      for _, member in ipairs(page[2]) do
        if not set.may_stay[member] then
          local exists, why = reading(true, 'EXISTS', prefix .. member)
          if why == 'hidden' or exists == 1 then
            set.found[#set.found + 1] = member
          end
        end
      end
      cursor = page[1]
    until cursor == '0' or set.found[1]
  end

  -- Refuse the whole for sets that would keep somebody.
  function referring.look(first_command, count)
    look_at_commands(first_command, count)
    for key, set in pairs(referred) do
      look_at_members(key, set)
      if set.found[1] then
        table.insert(set.found, 1, key)
        make_refusing().refuse(set.number, 'referred', set.found)
      end
    end
  end

  return referring
end
