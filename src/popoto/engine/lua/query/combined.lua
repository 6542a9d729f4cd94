-- query/combined.lua: and, or, not.

-- The keys of children that are all sets, which the server itself combines.
local function all_sets(nodes)
  local keys = {}
  for index, child in ipairs(nodes) do
    if child.kind ~= 'set' then
      return nil
    end
    keys[index] = child.key
  end
  return #keys > 0 and #keys <= CHUNK and keys or nil
end

local function read_children(node)
  node.children = {}
  for index = 1, take() + 0 do
    node.children[index] = read_node()
  end
end

local function make_and()
  local all = {read = read_children}

  function all.size(node)
    local least, costly = INFINITE, true
    for _, child in ipairs(node.children) do
      least = math.min(least, size(child))
      costly = costly and child.costly
    end
    return least, costly
  end

  local function cheapest_first(left, right)
    local left_size, right_size = size(left), size(right)
    if left.costly ~= right.costly then
      return not left.costly
    end
    return left_size < right_size
  end

  function all.find(node)
    local keys = all_sets(node.children)
    if keys then
      return call('SINTER', unpack(keys))
    end
    table.sort(node.children, cheapest_first)
    local list = find(node.children[1])
    for index = 2, #node.children do
      list = filter(node.children[index], list)
    end
    return list
  end

  function all.filter(node, list)
    for _, child in ipairs(node.children) do
      list = filter(child, list)
    end
    return list
  end

  return all
end

local function make_or()
  local any = {read = read_children}

  function any.size(node)
    local sum, costly = 0, false
    for _, child in ipairs(node.children) do
      sum = sum + size(child)
      costly = costly or child.costly
    end
    return sum, costly
  end

  function any.find(node)
    local keys = all_sets(node.children)
    if keys then
      return call('SUNION', unpack(keys))
    end
    local marks, found = {}, {}
    for _, child in ipairs(node.children) do
      for _, key in ipairs(find(child)) do
        if not marks[key] then
          marks[key] = true
          found[#found + 1] = key
        end
      end
    end
    return found
  end

  -- To unite many small sets takes fewer steps than to look each key up in all of them.
  function any.filter(node, list)
    local many = size(node) >= #list * #node.children
    if node.marks or not (node.costly or many) then
      return filter_found(node, list)
    end
    local marks = {}
    for _, child in ipairs(node.children) do
      for _, key in ipairs(filter(child, list)) do
        marks[key] = true
      end
    end
    return where_marked(list, marks)
  end

  return any
end

local function make_not()
  local other = {}

  function other.read(node)
    node.child = read_node()
  end

  function other.size(node)
    size(node.child)
    return size_of_class(), node.child.costly
  end

  function other.filter(node, list)
    local marks = as_marks(filter(node.child, list))
    return where(list, function(key)
      return not marks[key]
    end)
  end

  function other.find(node)
    if node.child.kind == 'set' then
      return call('SDIFF', CLASS, node.child.key)
    end
    return other.filter(node, call('SMEMBERS', CLASS))
  end

  return other
end
