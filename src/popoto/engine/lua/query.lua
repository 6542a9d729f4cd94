-- query.lua: evaluate one query where the data is, and return only the answer.
--
-- KEYS   1 class set · 2 expiry registry · 3 its values · then what the tree names by position
-- ARGV   prefix     put before a record key to read it (cluster hash tag, or "")
--        mode       count | keys | records
--        offset     how many live matches to skip; -1 = only the last match is wanted
--        limit      how many to return; -1 = all
--        page       how many records to read in this call; the keys of the rest are returned
--        trust      sets larger than this are counted without looking for every record
--        order      key (by record key) | score (by a sorted set) | found (as found) | any
--        order key  position in KEYS of that sorted set, or 0; for "key" a sorted set of all
--                   record keys with equal scores, used where it covers the class set
--        exact to   scores beyond +- this do not tell values apart: the reply then is
--                   "inexact", for the caller to order by value; 0 = all scores are exact
--        reverse    1 = descending
--        field count, fields...      hash fields to read of each record
--        list count, fields...       fields kept in lists of their own, read as well
--        tree, in prefix notation:
--          all | none
--          set K                      members of a set
--          range K min max            members of a sorted set by score ("(5" = exclusive)
--          near K mode x y radius unit   geo radius around x=longitude y=latitude, or mode
--                                     "member" with x = a record key
--          keys n key...              these records
--          bytes field n bytes...     the hash field holds one of these ("" = is missing)
--          text kind K V field set-prefix operand
--                                     prefix | suffix | infix match on a field's distinct texts:
--                                     K = sorted set of the texts, V = hash of how many records
--                                     they cover, set-prefix = a text's set key up to the text
--          and n ... | or n ... | not ...
--
-- Reply  {found, rest, due, distances, dead}
--        found   count: the number · keys: the keys · records: {key, {values...}} per record
--        rest    records: keys of the matches that were not read in this call
--        due     {key, packed values, ...} of records that have expired, for the caller to sweep
--        distances  for "near" trees in order "found": one per element of found and rest
--        dead    as due: records that were met in an index and do not exist
-- Cost   O(cheapest operand) or, in the order of a sorted set with a limit,
--        O(limit / selectivity)

local prefix = ARGV[1]
local mode = ARGV[2]
local offset = tonumber(ARGV[3])
local limit = tonumber(ARGV[4])
local page = tonumber(ARGV[5])
local trust = tonumber(ARGV[6])
local order = ARGV[7]
local order_key = KEYS[tonumber(ARGV[8])]
local exact_to = tonumber(ARGV[9])
local reverse = ARGV[10] == '1'
local field_count = tonumber(ARGV[11])
local first_field = 12
local list_count = tonumber(ARGV[first_field + field_count])
local first_list = first_field + field_count + 1
local at = first_list + list_count

local CLASS = KEYS[1]
local CHUNK = 1000
local INFINITE = math.huge
-- So many dead records are reported at once.
local REPORTED = 64

-- The last match is the first one in the opposite order, ties included.
local ties_reversed = offset == -1
if ties_reversed then
  offset, limit, reverse = 0, 1, not reverse
end

-- Reading the tree --------------------------------------------------------

local function take()
  at = at + 1
  return ARGV[at - 1]
end

local function take_list()
  local list = {}
  for index = 1, tonumber(take()) do
    list[index] = take()
  end
  return list
end

local function bound(text)
  local exclusive = string.sub(text, 1, 1) == '('
  if exclusive then
    text = string.sub(text, 2)
  end
  if text == '-inf' then
    return -INFINITE, exclusive
  elseif text == '+inf' or text == 'inf' then
    return INFINITE, exclusive
  end
  return tonumber(text), exclusive
end

local function read_node()
  local node = {kind = take()}
  local kind = node.kind
  if kind == 'set' then
    node.key = KEYS[tonumber(take())]
  elseif kind == 'range' then
    node.key = KEYS[tonumber(take())]
    node.min, node.max = take(), take()
    node.low, node.low_open = bound(node.min)
    node.high, node.high_open = bound(node.max)
  elseif kind == 'near' then
    node.key = KEYS[tonumber(take())]
    node.mode, node.x, node.y, node.radius, node.unit = take(), take(), take(), take(), take()
  elseif kind == 'keys' then
    node.list = take_list()
  elseif kind == 'bytes' then
    node.field = take()
    node.accepted = {}
    for _, bytes in ipairs(take_list()) do
      node.accepted[bytes] = true
    end
  elseif kind == 'text' then
    node.match = take()
    node.values, node.coverage = KEYS[tonumber(take())], KEYS[tonumber(take())]
    node.field, node.set_prefix, node.operand = take(), take(), take()
  elseif kind == 'and' or kind == 'or' then
    node.children = {}
    for index = 1, tonumber(take()) do
      node.children[index] = read_node()
    end
  elseif kind == 'not' then
    node.child = read_node()
  end
  return node
end

-- Bytes order -------------------------------------------------------------
-- Lua compares text by the server's locale; record keys are ordered by bytes.

local function by_bytes(left, right)
  return left < right
end
if 'a' < 'B' or 'é' < 'z' then
  by_bytes = function(left, right)
    local size = math.min(#left, #right)
    for index = 1, size do
      local a, b = string.byte(left, index), string.byte(right, index)
      if a ~= b then
        return a < b
      end
    end
    return #left < #right
  end
end

-- The first `count` of a list in order, by a bounded heap where that is cheaper.
local function smallest(list, count, before)
  if count * 8 >= #list then
    table.sort(list, before)
    return list
  end
  local heap = {}
  local function sink(index)
    while true do
      local child = index * 2
      if child > #heap then
        return
      end
      if child < #heap and before(heap[child], heap[child + 1]) then
        child = child + 1
      end
      if not before(heap[index], heap[child]) then
        return
      end
      heap[index], heap[child] = heap[child], heap[index]
      index = child
    end
  end
  for index = 1, count do
    heap[index] = list[index]
  end
  for index = math.floor(count / 2), 1, -1 do
    sink(index)
  end
  for index = count + 1, #list do
    if before(list[index], heap[1]) then
      heap[1] = list[index]
      sink(1)
    end
  end
  table.sort(heap, before)
  return heap
end

-- Working on lists of record keys -------------------------------------------

local function in_chunks(list, work)
  for first = 1, #list, CHUNK do
    work(first, math.min(first + CHUNK - 1, #list))
  end
end

local function keep(list, command, key, wanted)
  local kept = {}
  in_chunks(list, function(first, last)
    local replies = redis.call(command, key, unpack(list, first, last))
    for index = 1, #replies do
      if wanted(replies[index]) then
        kept[#kept + 1] = list[first + index - 1]
      end
    end
  end)
  return kept
end

local function as_marks(list)
  local marks = {}
  for index = 1, #list do
    marks[list[index]] = true
  end
  return marks
end

local function where(list, wanted)
  local kept = {}
  for index = 1, #list do
    if wanted(list[index]) then
      kept[#kept + 1] = list[index]
    end
  end
  return kept
end

local dead, reported = {}, {}

local function report(key)
  if not reported[key] and #dead < 2 * REPORTED then
    reported[key] = true
    dead[#dead + 1] = key
    dead[#dead + 1] = redis.call('HGET', KEYS[3], key) or ''
  end
end

local function alive(list)
  local living = true
  in_chunks(list, function(first, last)
    local keys = {}
    for index = first, last do
      keys[#keys + 1] = prefix .. list[index]
    end
    if redis.call('EXISTS', unpack(keys)) ~= #keys then
      living = false
    end
  end)
  if living then
    return list
  end
  return where(list, function(key)
    if redis.call('EXISTS', prefix .. key) == 1 then
      return true
    end
    report(key)
    return false
  end)
end

-- Text lookups --------------------------------------------------------------

local escapes = {
  ['/'] = '//', ["'"] = "/'", ['?'] = '/?', ['*'] = '/*', ['^'] = '/^',
  ['['] = '/[', [']'] = '/]', ['-'] = '/-', [':'] = '{&#58;}',
}

local function escape(text)
  return (string.gsub(text, "[/'?*^%[%]%-:]", escapes))
end

local function matches_text(node, text)
  local operand = node.operand
  if node.match == 'prefix' then
    return string.sub(text, 1, #operand) == operand
  elseif node.match == 'suffix' then
    return operand == '' or string.sub(text, -#operand) == operand
  end
  return string.find(text, operand, 1, true) ~= nil
end

-- The text inside stored bytes (msgpack str), or nil.
local function stored_text(bytes)
  local head = bytes and string.byte(bytes)
  if not head then
    return nil
  elseif head >= 160 and head <= 191 then
    return string.sub(bytes, 2)
  elseif head == 217 then
    return string.sub(bytes, 3)
  elseif head == 218 then
    return string.sub(bytes, 4)
  elseif head == 219 then
    return string.sub(bytes, 6)
  end
  return nil
end

local function holds_text(node, key)
  local text = stored_text(redis.call('HGET', prefix .. key, node.field))
  return text ~= nil and matches_text(node, text)
end

local function distinct_texts(node)
  if node.match == 'prefix' and node.operand ~= '' then
    return redis.call('ZRANGEBYLEX', node.values, '[' .. node.operand,
      '[' .. node.operand .. '\255\255\255\255')
  end
  return where(redis.call('ZRANGE', node.values, 0, -1), function(text)
    return matches_text(node, text)
  end)
end

-- The sets of the texts that match, or nil where the list of texts is not complete:
-- records written by popoto 1.6 are not in it.
local function text_sets(node)
  if node.looked_up then
    return node.sets
  end
  node.looked_up = true
  local covered = tonumber(redis.call('HGET', node.coverage, node.field) or '0')
  if covered ~= redis.call('SCARD', CLASS) then
    return nil
  end
  local sets = {}
  for _, text in ipairs(distinct_texts(node)) do
    sets[#sets + 1] = prefix .. node.set_prefix .. escape(text)
    if text == 'None' or string.find(text, ':', 1, true)
      or string.find(text, '{&#58;}', 1, true) then
      node.ambiguous = true
    end
  end
  node.sets = sets
  return sets
end

-- How many records match, or about; nil where each record has to be looked at.
local function text_size(node)
  local sets = text_sets(node)
  if not sets then
    return nil
  end
  local count = 0
  for index = 1, math.min(#sets, 32) do
    count = count + redis.call('SCARD', sets[index])
  end
  return #sets <= 32 and count or math.ceil(count / 32 * #sets)
end

local function find_text(node)
  local sets, ambiguous = text_sets(node), node.ambiguous
  if not sets then
    return where(redis.call('SMEMBERS', CLASS), function(key)
      return holds_text(node, key)
    end)
  end
  local found = {}
  for first = 1, #sets, CHUNK do
    local members = redis.call('SUNION', unpack(sets, first, math.min(first + CHUNK - 1, #sets)))
    for index = 1, #members do
      found[#found + 1] = members[index]
    end
  end
  if ambiguous then
    -- One set may serve two texts (":" and its escape, "None" and None).
    return where(found, function(key)
      return holds_text(node, key)
    end)
  end
  return found
end

-- Evaluation ------------------------------------------------------------------

local size, find, filter

local distances = nil

local function near(node)
  if node.marks then
    return node.list
  end
  local arguments = {node.key}
  if node.mode == 'member' then
    arguments[2], arguments[3] = 'FROMMEMBER', node.x
  else
    arguments[2], arguments[3], arguments[4] = 'FROMLONLAT', node.x, node.y
  end
  for _, word in ipairs({'BYRADIUS', node.radius, node.unit, 'ASC', 'WITHDIST'}) do
    arguments[#arguments + 1] = word
  end
  if node.mode == 'member' and not redis.call('ZSCORE', node.key, node.x) then
    node.list, node.marks = {}, {}
    return node.list
  end
  local list = {}
  distances = distances or {}
  for index, pair in ipairs(redis.call('GEOSEARCH', unpack(arguments))) do
    list[index] = pair[1]
    distances[pair[1]] = distances[pair[1]] or pair[2]
  end
  node.list, node.marks = list, as_marks(list)
  return list
end

function size(node)
  if node.size then
    return node.size
  end
  local kind, result, costly = node.kind, 0, false
  if kind == 'set' then
    result = redis.call('SCARD', node.key)
  elseif kind == 'range' then
    if node.low == -INFINITE and node.high == INFINITE then
      result = redis.call('ZCARD', node.key)
    else
      result = redis.call('ZCOUNT', node.key, node.min, node.max)
    end
  elseif kind == 'near' then
    result = #near(node)
  elseif kind == 'keys' then
    result = #node.list
  elseif kind == 'none' then
    result = 0
  elseif kind == 'and' then
    result = INFINITE
    costly = true
    for _, child in ipairs(node.children) do
      result = math.min(result, size(child))
      costly = costly and child.costly
    end
  elseif kind == 'or' then
    for _, child in ipairs(node.children) do
      result = result + size(child)
      costly = costly or child.costly
    end
  else
    result = redis.call('SCARD', CLASS)
    if kind == 'not' then
      size(node.child)
      costly = node.child.costly
    elseif kind == 'text' then
      local count = text_size(node)
      costly = count == nil
      result = math.min(count or result, result)
    else
      costly = kind == 'bytes'
    end
  end
  -- Costly ones are answered by looking at records: a last resort among operands.
  node.costly = costly
  node.size = result
  return result
end

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

local function cheapest_first(left, right)
  local left_size, right_size = size(left), size(right)
  if left.costly ~= right.costly then
    return not left.costly
  end
  return left_size < right_size
end

local function union(lists)
  local marks, found = {}, {}
  for _, list in ipairs(lists) do
    for index = 1, #list do
      local key = list[index]
      if not marks[key] then
        marks[key] = true
        found[#found + 1] = key
      end
    end
  end
  return found
end

function find(node)
  local kind = node.kind
  if kind == 'set' then
    return redis.call('SMEMBERS', node.key)
  elseif kind == 'range' then
    return redis.call('ZRANGEBYSCORE', node.key, node.min, node.max)
  elseif kind == 'near' then
    return near(node)
  elseif kind == 'keys' then
    return node.list
  elseif kind == 'all' then
    return redis.call('SMEMBERS', CLASS)
  elseif kind == 'none' then
    return {}
  elseif kind == 'text' then
    return find_text(node)
  elseif kind == 'and' then
    local keys = all_sets(node.children)
    if keys then
      return redis.call('SINTER', unpack(keys))
    end
    table.sort(node.children, cheapest_first)
    local list = find(node.children[1])
    for index = 2, #node.children do
      list = filter(node.children[index], list)
    end
    return list
  elseif kind == 'or' then
    local keys = all_sets(node.children)
    if keys then
      return redis.call('SUNION', unpack(keys))
    end
    local lists = {}
    for index, child in ipairs(node.children) do
      lists[index] = find(child)
    end
    return union(lists)
  elseif kind == 'not' and node.child.kind == 'set' then
    return redis.call('SDIFF', CLASS, node.child.key)
  end
  return filter(node, redis.call('SMEMBERS', CLASS))
end

function filter(node, list)
  if #list == 0 then
    return list
  end
  local kind = node.kind
  if kind == 'set' or kind == 'all' then
    return keep(list, 'SMISMEMBER', node.key or CLASS, function(reply)
      return reply == 1
    end)
  elseif kind == 'range' then
    local low, low_open, high, high_open = node.low, node.low_open, node.high, node.high_open
    return keep(list, 'ZMSCORE', node.key, function(reply)
      local score = reply and bound(reply)
      return score ~= nil and score ~= false
        and (score > low or (score == low and not low_open))
        and (score < high or (score == high and not high_open))
    end)
  elseif kind == 'none' then
    return {}
  elseif kind == 'bytes' then
    return where(list, function(key)
      return node.accepted[redis.call('HGET', prefix .. key, node.field) or ''] == true
    end)
  elseif kind == 'text' then
    size(node)
    if not node.marks and (node.costly or #list < node.size) then
      return where(list, function(key)
        return holds_text(node, key)
      end)
    end
    node.marks = node.marks or as_marks(find_text(node))
    local marks = node.marks
    return where(list, function(key)
      return marks[key] == true
    end)
  elseif kind == 'and' then
    for _, child in ipairs(node.children) do
      list = filter(child, list)
    end
    return list
  elseif kind == 'or' and not node.marks
    and (node.costly or size(node) >= #list * #node.children) then
    local marks = {}
    for _, child in ipairs(node.children) do
      for _, key in ipairs(filter(child, list)) do
        marks[key] = true
      end
    end
    return where(list, function(key)
      return marks[key] == true
    end)
  elseif kind == 'not' then
    local marks = as_marks(filter(node.child, list))
    return where(list, function(key)
      return not marks[key]
    end)
  end
  -- Also an "or" of many small sets: to unite them takes fewer steps than to look each up.
  node.marks = node.marks or as_marks(find(node))
  local marks = node.marks
  return where(list, function(key)
    return marks[key] == true
  end)
end

-- Expired records -----------------------------------------------------------

local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local due = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 128)) do
  due[#due + 1] = key
  due[#due + 1] = redis.call('HGET', KEYS[3], key) or ''
end

local root = read_node()

-- Counting --------------------------------------------------------------------

local function count()
  local exact_size = root.kind == 'all' or root.kind == 'set' or root.kind == 'range'
  if exact_size and #due == 0 and size(root) > trust then
    return size(root)
  end
  return #alive(find(root))
end

if mode == 'count' then
  return {count(), {}, due, {}, dead}
end

-- Ordering ------------------------------------------------------------------

local wanted = limit < 0 and INFINITE or offset + limit

-- A child (or the root) that is a range of the ordering sorted set.
local function ordered_range()
  if root.kind == 'range' and root.key == order_key then
    return root, {}
  end
  if root.kind == 'and' then
    for index, child in ipairs(root.children) do
      if child.kind == 'range' and child.key == order_key then
        local others = {}
        for other = 1, #root.children do
          if other ~= index then
            others[#others + 1] = root.children[other]
          end
        end
        return child, others
      end
    end
  end
  return nil, {root}
end

-- Walk the ordering sorted set, or a range of it, from one end, testing each member,
-- until enough are found; nil when that takes longer than finding all matches would.
-- Members of one score come in ascending order of their keys, or all is turned round.
local function walk(range, others, patience)
  local found, tested = {}, 0
  local step = math.max(32, math.min(CHUNK, wanted * 2))

  local function test(list)
    tested = tested + #list
    for _, node in ipairs(others) do
      list = filter(node, list)
    end
    list = alive(list)
    for index = 1, #list do
      found[#found + 1] = list[index]
    end
    return #found >= wanted
  end

  -- By rank where the whole set is walked: that finds its place in O(log n).
  local function read(start, scores)
    local command = range and 'BYSCORE' or ''
    local low, high = start, start + step - 1
    if range then
      low, high = range.min, range.max
    end
    if reverse then
      command = 'ZREVRANGE' .. command
      if range then
        low, high = high, low
      end
    else
      command = 'ZRANGE' .. command
    end
    local arguments = {command, order_key, low, high}
    if scores then
      arguments[#arguments + 1] = 'WITHSCORES'
    end
    if range then
      arguments[#arguments + 1] = 'LIMIT'
      arguments[#arguments + 1] = start
      arguments[#arguments + 1] = step
    end
    return redis.call(unpack(arguments))
  end

  local start = 0
  if reverse == ties_reversed then
    while tested <= patience do
      local chunk = read(start, false)
      if #chunk == 0 or test(chunk) then
        return found
      end
      start = start + #chunk
      step = math.min(CHUNK, step * 4)
    end
    return nil
  end

  -- The members of one score, against the direction of the walk.
  local function test_group(score)
    local command = reverse and 'ZRANGEBYSCORE' or 'ZREVRANGEBYSCORE'
    local position = 0
    while true do
      local members =
        redis.call(command, order_key, score, score, 'LIMIT', position, CHUNK)
      if #members == 0 then
        return position, false
      end
      if test(members) then
        return position, true
      end
      position = position + #members
    end
  end

  while tested <= patience do
    local chunk = read(start, true)
    local members_read = #chunk / 2
    if members_read == 0 then
      return found
    end
    -- Whole groups of one score, turned round; the last one may be cut off.
    local list, group, first = {}, chunk[2], 1
    local function turn(last)
      for index = last, first, -1 do
        list[#list + 1] = chunk[index * 2 - 1]
      end
    end
    for index = 2, members_read do
      if chunk[index * 2] ~= group then
        turn(index - 1)
        first, group = index, chunk[index * 2]
      end
    end
    if members_read < step then
      turn(members_read)
      test(list)
      return found
    end
    if first == 1 then
      -- One score fills the chunk.
      local members, enough = test_group(group)
      if enough then
        return found
      end
      start = start + members
    else
      if test(list) then
        return found
      end
      start = start + first - 1
    end
    step = math.min(CHUNK, step * 4)
  end
  return nil
end

local function keys_before(left, right)
  if ties_reversed then
    return by_bytes(right, left)
  end
  return by_bytes(left, right)
end

local function sort_by_score(list)
  -- A record without an entry is null: first in ascending order, last in descending.
  local scores, missing = {}, -INFINITE
  in_chunks(list, function(first, last)
    local replies = redis.call('ZMSCORE', order_key, unpack(list, first, last))
    for index = 1, #replies do
      scores[list[first + index - 1]] = replies[index] and bound(replies[index]) or missing
    end
  end)
  local function before(left, right)
    local a, b = scores[left], scores[right]
    if a ~= b then
      if reverse then
        return a > b
      end
      return a < b
    end
    return keys_before(left, right)
  end
  return smallest(list, math.min(wanted, #list), before)
end

-- Whether the sorted set of record keys may stand for the class set. popoto 1.6 keeps the
-- one and not the other, so equal sizes prove nothing where both write: small sets are
-- always read, of large ones some members are looked up.
local function keys_are_covered(all)
  if all <= trust then
    return false
  end
  local sample = redis.call('SRANDMEMBER', CLASS, 8)
  for _, score in ipairs(redis.call('ZMSCORE', order_key, unpack(sample))) do
    if not score then
      return false
    end
  end
  return true
end

-- Try to answer by walking the ordering sorted set; nil where that does not pay.
local function walked()
  local range, others = nil, {root}
  local all = redis.call('SCARD', CLASS)
  if order == 'score' then
    range, others = ordered_range()
  elseif not keys_are_covered(all) then
    return nil
  end
  if not range and redis.call('ZCARD', order_key) ~= all then
    return nil
  end
  local matches = math.max(size(root), 1)
  local members = range and size(range) or all
  if matches >= members then
    return walk(range, others, INFINITE)
  end
  if wanted * members < matches * matches then
    return walk(range, others, math.max(matches, CHUNK))
  end
  return nil
end

-- Whether some score is too large to tell its value from its neighbours.
local function is_inexact()
  for _, ends in ipairs({{0, 0}, {-1, -1}}) do
    local score = redis.call('ZRANGE', order_key, ends[1], ends[2], 'WITHSCORES')[2]
    if score and math.abs(bound(score)) >= exact_to and math.abs(bound(score)) < INFINITE then
      return true
    end
  end
  return false
end

local function in_order()
  if order == 'score' then
    if root.kind == 'range' and root.key == order_key and wanted == INFINITE and not reverse then
      return alive(find(root))
    end
    return walked() or sort_by_score(alive(find(root)))
  elseif order == 'key' then
    return order_key and walked()
      or smallest(alive(find(root)), wanted, keys_before)
  end
  local list = alive(find(root))
  return ties_reversed and {list[#list]} or list
end

if order == 'score' and exact_to > 0 and is_inexact() then
  return {'inexact', {}, due, {}, dead}
end

local list = in_order()

local last = math.min(#list, wanted)
local function distance_of(key)
  return distances and distances[key] or ''
end

local found, rest, far = {}, {}, {}
if mode == 'keys' then
  for index = offset + 1, last do
    found[#found + 1] = list[index]
    if distances then
      far[#far + 1] = distance_of(list[index])
    end
  end
  return {found, rest, due, far, dead}
end

for index = offset + 1, last do
  local key = list[index]
  if #found < page then
    local values = {}
    if field_count > 0 then
      values = redis.call('HMGET', prefix .. key,
        unpack(ARGV, first_field, first_field + field_count - 1))
    end
    for list = first_list, first_list + list_count - 1 do
      values[#values + 1] =
        redis.call('LRANGE', prefix .. key .. '::' .. ARGV[list], 0, -1)
    end
    found[#found + 1] = {key, values}
  else
    rest[#rest + 1] = key
  end
  if distances then
    far[#far + 1] = distance_of(key)
  end
end
return {found, rest, due, far, dead}
