-- finding/finding.lua: the guard that no record matches a lookup. The commit that creates one for
-- it looks itself, so that of all who found none exactly one creates.
--
--   unmatched  number class-set registry values
--              field count, fields...   hash fields, and after "*" those kept in lists of their own
--              known count, known...    what these hold where the caller knows that it does not
--                                       match, each as `held` writes it
--              tree                     the lookup, as for query.lua
--   What failed is "matched": the detail is the record key.
-- Cost         O(cheapest operand), as the query

parts = {
  escaping = make_escaping,
  all = make_all, none = make_none, set = make_set, keys = make_keys, range = make_range,
  near = make_near, bytes = make_bytes, text = make_text,
  ['and'] = make_and, ['or'] = make_or, ['not'] = make_not,
}

local function make_finding()
  -- What a record holds in these fields, as one text.
  local function held(key, fields)
    local texts = {}
    for index, field in ipairs(fields) do
      local values
      if string.sub(field, 1, 1) == '*' then
        values = call('LRANGE', prefix .. key .. '::' .. string.sub(field, 2), 0, -1)
        texts[index] = '*' .. #values .. ':'
      else
        values = {call('HGET', prefix .. key, field) or nil}
        texts[index] = #values .. ':'
      end
      for _, value in ipairs(values) do
        texts[index] = texts[index] .. #value .. ':' .. value
      end
    end
    return table.concat(texts)
  end

  local function unmatched(first)
    local number = ARGV[first] + 0
    CLASS, REGISTRY, NOTES = key_at(first + 1), key_at(first + 2), key_at(first + 3)
    at = first + 4
    local fields, known = take_list(), as_marks(take_list())
    local knows = next(known) ~= nil
    for _, key in ipairs(alive(find(read_node()))) do
      if not (knows and known[held(key, fields)]) then
        return make_refusing().refuse(number, 'matched', {key})
      end
    end
    return nil
  end

  return {unmatched = unmatched}
end

MAKERS.unmatched = make_finding
