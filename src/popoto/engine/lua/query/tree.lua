-- query/tree.lua: the conditions: nodes {kind = ..., is = what the kind can do, ...}.
--
-- Each kind is a part of its own, of the same name, that is opened when a query uses it:
--   read    take the node's arguments (if it has any)
--   size    how many records it finds at most, without finding them; second, whether it is
--           costly: whether each record has to be looked at, which makes it a last resort
--   find    the records that it finds; without it, those of the class that `filter` keeps
--   filter  those of a list that it finds too; without it, what is found once is looked up
--   sample  some members, if the node is just one index

local at = first_of_tree

local function take()
  at = at + 1
  return ARGV[at - 1]
end

local function take_key()
  return KEYS[take() + 0]
end

local function take_list()
  local list = {}
  for index = 1, take() + 0 do
    list[index] = take()
  end
  return list
end

local function read_node()
  local kind = take()
  local node = {kind = kind, is = open(kind)}
  if node.is.read then
    node.is.read(node)
  end
  return node
end

local function size(node)
  if not node.size then
    node.size, node.costly = node.is.size(node)
    node.costly = node.costly or false
  end
  return node.size
end

local function find(node)
  if node.is.find then
    return node.is.find(node)
  end
  return node.is.filter(node, call('SMEMBERS', CLASS))
end

local function filter_found(node, list)
  node.marks = node.marks or as_marks(find(node))
  return where_marked(list, node.marks)
end

local function filter(node, list)
  if #list == 0 then
    return list
  end
  return (node.is.filter or filter_found)(node, list)
end
