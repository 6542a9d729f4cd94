-- query/texts.lua: prefix, suffix and infix conditions, by a field's list of distinct texts where
-- that is complete, and by the stored bytes of each record where it is not.

local function make_text()
  local text = {}
  local escape = open('escaping').escape

  -- The sizes of so many sets are added up; those of more are estimated from them.
  local MEASURED_SETS = 32

  local matches = {}

  function matches.prefix(whole, operand)
    return string.sub(whole, 1, #operand) == operand
  end

  function matches.suffix(whole, operand)
    return operand == '' or string.sub(whole, -#operand) == operand
  end

  function matches.infix(whole, operand)
    return string.find(whole, operand, 1, true) ~= nil
  end

  -- The same whatever the case, for what is ASCII; any other text may match, and the client looks.
  -- `operand` has its case folded.
  local function whatever_the_case(matching)
    return function(whole, operand)
      return string.find(whole, '[\128-\255]') ~= nil or matching(string.lower(whole), operand)
    end
  end

  function matches.whole(whole, operand)
    return whole == operand
  end

  for _, match in ipairs({'prefix', 'suffix', 'infix', 'whole'}) do
    matches['i' .. match] = whatever_the_case(matches[match])
  end

  local function holds_text(node, key)
    local bytes = field_of(key, node.field)
    local start = bytes and start_of_text(bytes)
    return start ~= nil and start ~= false
      and matches[node.match](string.sub(bytes, start), node.operand)
  end

  local function where_text_held(node, list)
    return where(list, function(key)
      return holds_text(node, key)
    end)
  end

  local function distinct_texts(node)
    if node.match == 'prefix' and node.operand ~= '' then
      return call('ZRANGEBYLEX', node.values, '[' .. node.operand,
        '[' .. node.operand .. '\255\255\255\255')
    end
    local matching, operand = matches[node.match], node.operand
    return where(call('ZRANGE', node.values, 0, -1), function(whole)
      return matching(whole, operand)
    end)
  end

  -- Whether a set of this text may serve another one too.
  local function is_ambiguous(whole)
    return whole == 'None' or string.find(whole, ':', 1, true)
      or string.find(whole, ESCAPED_SEPARATOR, 1, true)
  end

  -- The sets of the texts that match, or nil where the list of texts is not complete:
  -- records written by popoto 1.6 are not in it.
  local function text_sets(node)
    if node.looked_up then
      return node.sets
    end
    node.looked_up = true
    local covered = tonumber(call('HGET', node.coverage, node.field) or '0')
    if covered ~= call('SCARD', CLASS) then
      return nil
    end
    local sets = {}
    for _, whole in ipairs(distinct_texts(node)) do
      sets[#sets + 1] = prefix .. node.set_prefix .. escape(whole)
      node.ambiguous = node.ambiguous or is_ambiguous(whole)
    end
    node.sets = sets
    return sets
  end

  function text.read(node)
    node.match, node.values, node.coverage = take(), take_key(), take_key()
    node.field, node.set_prefix, node.operand = take(), take(), take()
  end

  function text.size(node)
    local all, sets = size_of_class(), text_sets(node)
    if not sets then
      return all, true
    end
    local count = 0
    for index = 1, math.min(#sets, MEASURED_SETS) do
      count = count + call('SCARD', sets[index])
    end
    if #sets > MEASURED_SETS then
      count = math.ceil(count / MEASURED_SETS * #sets)
    end
    return math.min(count, all), false
  end

  function text.find(node)
    local sets = text_sets(node)
    if not sets then
      return where_text_held(node, call('SMEMBERS', CLASS))
    end
    local found = {}
    for index = 1, #sets do
      text_sets_met[#text_sets_met + 1] = sets[index]
    end
    in_chunks(sets, function(first, last)
      local members = call('SUNION', unpack(sets, first, last))
      for index = 1, #members do
        found[#found + 1] = members[index]
      end
    end)
    return node.ambiguous and where_text_held(node, found) or found
  end

  function text.filter(node, list)
    size(node)
    if not node.marks and (node.costly or #list < node.size) then
      return where_text_held(node, list)
    end
    return filter_found(node, list)
  end

  return text
end
