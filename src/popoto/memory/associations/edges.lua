-- memory/associations/edges.lua: edges between keys. Each key has a sorted set of those that its
-- edges lead to, by weight. Edges are mirrored where they are symmetric; where not, every key has a
-- set of those that lead to it, so that they can be found when it goes.
--
-- All of these begin with: stem, incoming stem ("": symmetric), key. The key of a command is the
-- sorted set of that key; those of others are in the same shard.
--
-- LINK        ... target weight most   an edge, unless there is one; drops the lightest beyond `most`
-- STRENGTHEN  ... target delta most    add to an edge. Both reply the weight (text)
-- UNLINK      ... target               remove it
-- WEAKEN      ... factor least         multiply all; those below `least` go. Reply: how many went
-- FORSAKE     ...                      remove all edges from and to the key
-- REKEY       ... name                 let another key have them
-- RELATE      ... (target weight) ...  these are the edges from the key, and no others
-- UNPAIRED    ...                      of how many edges the other side lacks, or has too much
-- PAIR        ...                      let the other sides have just that. Reply: of how many

-- While edges are noted: what the weights of changed ones were, as a list and by both keys.
local changed_edges

-- While a command that is noted is looked at: the look at the history of a record.
local look_at_history

local NAMES = {
  'LINK', 'STRENGTHEN', 'UNLINK', 'WEAKEN', 'FORSAKE', 'REKEY', 'RELATE', 'UNPAIRED', 'PAIR',
}

local function make_edges()
  local commands = {}

  -- By the place of a command's arguments, what `edges_of` has made.
  local known = {}

  -- What the arguments of one command say, and what it does to edges.
  local function edges_of(first)
    if known[first] then
      return known[first]
    end
    local self = {stem = prefix .. ARGV[first], key = ARGV[first + 2]}
    local incoming = ARGV[first + 1] ~= '' and prefix .. ARGV[first + 1]

    function self.set(key)
      return self.stem .. key
    end

    function self.incoming_of(key)
      return incoming and incoming .. key
    end

    function self.weight(source, target)
      return call('ZSCORE', self.set(source), target)
    end

    -- Every change of a weight: ZADD, ZINCRBY or ZREM.
    function self.change(command, source, target, number)
      local noted, id = changed_edges, changed_edges and #source .. ':' .. source .. target
      if noted and not noted[id] then
        noted[id] = true
        noted[#noted + 1] = {source, target, self.weight(source, target)}
      end
      if number then
        return call(command, self.set(source), number, target)
      end
      return call(command, self.set(source), target)
    end

    -- The other side of an edge from source to target.
    function self.mirror(source, target, weight)
      if incoming then
        call('SADD', incoming .. target, source)
      elseif weight then
        self.change('ZADD', target, source, weight)
      end
    end

    function self.is_mirrored(source, target)
      if incoming then
        return call('SISMEMBER', incoming .. target, source) == 1
      end
      return self.weight(target, source)
    end

    function self.drop(source, target)
      local gone = self.change('ZREM', source, target)
      if incoming then
        call('SREM', incoming .. target, source)
      else
        self.change('ZREM', target, source)
      end
      return gone
    end

    -- The lightest go, of equal ones the lesser key.
    function self.prune(key, most)
      local excess = call('ZCARD', self.set(key)) - most
      if excess > 0 then
        for _, target in ipairs(call('ZRANGE', self.set(key), 0, excess - 1)) do
          self.drop(key, target)
        end
      end
    end

    function self.targets(key)
      return call('ZRANGE', self.set(key), 0, -1, 'WITHSCORES')
    end

    function self.sources(key)
      return incoming and call('SMEMBERS', incoming .. key) or {}
    end

    function self.clear(key)
      call('DEL', self.set(key))
      if incoming then
        call('DEL', incoming .. key)
      end
    end

    self.is_symmetric = not incoming
    known[first] = self
    return self
  end

  local function finish(edges, target, most, otherwise)
    edges.prune(edges.key, most)
    if edges.is_symmetric then
      edges.prune(target, most)
    end
    return edges.weight(edges.key, target) or otherwise
  end

  function commands.LINK(_, first)
    local edges, target, weight = edges_of(first), ARGV[first + 3], ARGV[first + 4]
    if not edges.weight(edges.key, target) then
      edges.change('ZADD', edges.key, target, weight)
    end
    if not edges.is_symmetric or not edges.weight(target, edges.key) then
      edges.mirror(edges.key, target, weight)
    end
    return finish(edges, target, ARGV[first + 5] + 0, weight)
  end

  function commands.STRENGTHEN(_, first)
    local edges, target, delta = edges_of(first), ARGV[first + 3], ARGV[first + 4]
    local weight = edges.change('ZINCRBY', edges.key, target, delta)
    if edges.is_symmetric then
      edges.change('ZINCRBY', target, edges.key, delta)
    else
      edges.mirror(edges.key, target)
    end
    return finish(edges, target, ARGV[first + 5] + 0, weight)
  end

  function commands.UNLINK(_, first)
    local edges = edges_of(first)
    return edges.drop(edges.key, ARGV[first + 3])
  end

  function commands.WEAKEN(_, first)
    local edges, factor, least = edges_of(first), ARGV[first + 3] + 0, ARGV[first + 4] + 0
    local found, gone = edges.targets(edges.key), 0
    for place = 1, #found, 2 do
      local target, weight = found[place], found[place + 1] * factor
      if weight < least or factor == 0 then
        edges.drop(edges.key, target)
        gone = gone + 1
      else
        edges.change('ZADD', edges.key, target, string.format('%.17g', weight))
        local other = edges.is_symmetric and edges.weight(target, edges.key)
        if other then
          edges.change('ZADD', target, edges.key, string.format('%.17g', other * factor))
        end
      end
    end
    return gone
  end

  function commands.FORSAKE(_, first)
    local edges = edges_of(first)
    local found = edges.targets(edges.key)
    for place = 1, #found, 2 do
      edges.drop(edges.key, found[place])
    end
    for _, source in ipairs(edges.sources(edges.key)) do
      edges.change('ZREM', source, edges.key)
    end
    edges.clear(edges.key)
    return #found / 2
  end

  function commands.REKEY(_, first)
    local edges, name = edges_of(first), ARGV[first + 3]
    local found, sources, incoming = edges.targets(edges.key), edges.sources(edges.key), {}
    for _, source in ipairs(sources) do
      incoming[source] = edges.weight(source, edges.key)
      edges.change('ZREM', source, edges.key)
    end
    local mirrored = {}
    for place = 1, #found, 2 do
      mirrored[found[place]] = edges.weight(found[place], edges.key)
      edges.drop(edges.key, found[place])
    end
    edges.clear(edges.key)
    for place = 1, #found, 2 do
      edges.change('ZADD', name, found[place], found[place + 1])
      edges.mirror(name, found[place], mirrored[found[place]] or found[place + 1])
    end
    for source, weight in pairs(incoming) do
      edges.change('ZADD', source, name, weight)
      edges.mirror(source, name)
    end
    return #found / 2
  end

  function commands.RELATE(_, first, last)
    local edges, wanted = edges_of(first), {}
    for place = first + 3, last, 2 do
      wanted[ARGV[place]] = ARGV[place + 1]
    end
    local found = edges.targets(edges.key)
    for place = 1, #found, 2 do
      if not wanted[found[place]] then
        edges.drop(edges.key, found[place])
      end
    end
    for target, weight in pairs(wanted) do
      call('ZADD', edges.set(edges.key), weight, target)
      -- The other side may have its own weight already.
      if not edges.is_symmetric or not edges.weight(target, edges.key) then
        edges.mirror(edges.key, target, weight)
      end
    end
    return (last - first - 2) / 2
  end

  local function pair(edges, mends)
    local found, number = edges.targets(edges.key), 0
    for place = 1, #found, 2 do
      local target = found[place]
      if not edges.is_mirrored(edges.key, target) then
        number = number + 1
        if mends then
          edges.mirror(edges.key, target, found[place + 1])
        end
      end
    end
    for _, source in ipairs(edges.sources(edges.key)) do
      if not edges.weight(source, edges.key) then
        number = number + 1
        if mends then
          call('SREM', edges.incoming_of(edges.key), source)
        end
      end
    end
    return number
  end

  function commands.UNPAIRED(_, first)
    return pair(edges_of(first), false)
  end

  function commands.PAIR(_, first)
    return pair(edges_of(first), true)
  end

  -- What one key has on the other side of an edge.
  local function look_at_side(edges, key)
    local set, incoming = edges.set(key), edges.incoming_of(key)
    return look_at('ZADD', set, 'ZCARD') or denied('ZREM', set) or denied('ZSCORE', set)
      or denied('ZRANGE', set) or denied('ZINCRBY', set) or denied('DEL', set)
      or incoming and (look_at('SADD', incoming, 'SCARD') or denied('SREM', incoming)
        or denied('SMEMBERS', incoming) or denied('SISMEMBER', incoming)
        or denied('DEL', incoming))
      or look_at_history and look_at_history(key) or nil
  end

  -- The key, all that its edges lead to or come from, and those that the arguments name.
  local function look(_, first, last, name)
    local edges = edges_of(first)
    local names, failure = {}, nil
    local named = last > first + 2 and name ~= 'WEAKEN' and ARGV[first + 3] or nil
    if name == 'RELATE' then
      for place = first + 5, last, 2 do
        names[#names + 1] = ARGV[place]
      end
    end
    local most = (name == 'LINK' or name == 'STRENGTHEN') and ARGV[first + 5] + 0
    for _, key in ipairs({edges.key, named}) do
      failure = failure or look_at_side(edges, key)
      local is_full = not failure and most and call('ZCARD', edges.set(key)) >= most
      if not failure and (is_full or not most) then
        for place, other in ipairs(edges.targets(key)) do
          names[#names + 1] = place % 2 == 1 and other or nil
        end
        for _, other in ipairs(edges.sources(key)) do
          names[#names + 1] = other
        end
      end
    end
    for _, key in ipairs(names) do
      failure = failure or look_at_side(edges, key)
    end
    return failure
  end

  -- A question, which writes nothing: keys of other types are told, and rights by the server itself.
  local function look_at_question(_, first)
    local edges = edges_of(first)
    local function look_at_one(key)
      local incoming = edges.incoming_of(key)
      return unlike(edges.set(key), 'ZCARD') or incoming and unlike(incoming, 'SCARD') or nil
    end
    local failure = look_at_one(edges.key)
    local targets = failure and {} or edges.targets(edges.key)
    for place = 1, #targets, 2 do
      failure = failure or look_at_one(targets[place])
    end
    for _, source in ipairs(failure and {} or edges.sources(edges.key)) do
      failure = failure or look_at_one(source)
    end
    return failure
  end

  commands.looks = {UNPAIRED = look_at_question}
  for _, name in ipairs(NAMES) do
    commands.looks[name] = commands.looks[name] or look
  end
  return commands
end

for _, name in ipairs(NAMES) do
  MAKERS[name] = make_edges
end
