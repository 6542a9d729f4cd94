-- query/parts.lua: reading a record, and all parts of a query by name.

local function record_of(key)
  local values = {}
  if field_count > 0 then
    values = call('HMGET', prefix .. key, unpack(ARGV, first_field, first_field + field_count - 1))
  end
  for list = first_list, first_list + list_count - 1 do
    values[#values + 1] = call('LRANGE', prefix .. key .. '::' .. ARGV[list], 0, -1)
  end
  return {key, values}
end

-- The kinds of nodes, the orders, and what these have in common.
parts = {
  escaping = make_escaping,
  all = make_all, none = make_none, set = make_set, keys = make_keys, range = make_range,
  near = make_near, bytes = make_bytes, text = make_text,
  ['and'] = make_and, ['or'] = make_or, ['not'] = make_not,
  counting = make_counting, walking = make_walking, choosing = make_choosing,
  key = make_key_order, score = make_score_order, found = make_found_order, any = make_no_order,
  nulls_first = make_score_order, nulls_last = make_score_order,
}
