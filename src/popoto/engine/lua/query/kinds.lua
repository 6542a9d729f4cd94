-- query/kinds.lua: the kinds of nodes by name.

kinds = {
  all = make_all, none = make_none, set = make_set, keys = make_keys, range = make_range,
  near = make_near, bytes = make_bytes, text = make_text,
  ['and'] = make_and, ['or'] = make_or, ['not'] = make_not,
}
