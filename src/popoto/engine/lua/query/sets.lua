-- query/sets.lua: the members of a set, all records, none, and those that are named.

local function is_one(reply)
  return reply == 1
end

local function size_of_class()
  return call('SCARD', CLASS)
end

-- Members that stand together in a set's hash table, which is in no order: a random place there
-- is found far sooner than random members. Near the end of the table there may be few.
local function sample_of_set(key)
  local members = call('SSCAN', key, clock[2], 'COUNT', SAMPLES)[2]
  return #members >= SAMPLES and members or call('SRANDMEMBER', key, SAMPLES)
end

local function make_all()
  return {
    size = size_of_class,
    find = function()
      return call('SMEMBERS', CLASS)
    end,
    filter = function(_, list)
      return where_replied(list, 'SMISMEMBER', CLASS, is_one)
    end,
    sample = function()
      return sample_of_set(CLASS)
    end,
  }
end

local function make_none()
  local function nothing()
    return {}
  end
  return {
    size = function()
      return 0
    end,
    find = nothing,
    filter = nothing,
  }
end

local function make_keys()
  return {
    read = function(node)
      node.list = take_list()
    end,
    size = function(node)
      return #node.list
    end,
    find = function(node)
      return node.list
    end,
  }
end

local function make_set()
  return {
    read = function(node)
      node.key = take_key()
    end,
    size = function(node)
      return call('SCARD', node.key)
    end,
    find = function(node)
      return call('SMEMBERS', node.key)
    end,
    filter = function(node, list)
      return where_replied(list, 'SMISMEMBER', node.key, is_one)
    end,
    sample = function(node)
      return sample_of_set(node.key)
    end,
  }
end
