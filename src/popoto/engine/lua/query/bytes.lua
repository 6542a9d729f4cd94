-- query/bytes.lua: records whose hash field holds one of these bytes: each record is looked at.

local function make_bytes()
  local bytes = {}

  function bytes.read(node)
    node.field, node.accepted = take(), {}
    for _, each in ipairs(take_list()) do
      node.accepted[each] = true
    end
  end

  function bytes.size()
    return size_of_class(), true
  end

  function bytes.filter(node, list)
    local accepted, field = node.accepted, node.field
    return where(list, function(key)
      return accepted[field_of(key, field) or ''] == true
    end)
  end

  return bytes
end
