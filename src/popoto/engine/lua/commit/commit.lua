-- commit/commit.lua: check every guard, then carry out every command. All or nothing.
--
-- KEYS   every key that a guard or a command names, by position; 0 = none
-- ARGV   prefix       put before a record key found on the server (cluster hash tag, or "")
--        mode         "data": the first failed guard is returned; "error": it is raised (a
--                     pipeline of the caller's own, where nobody would look at the reply);
--                     "every": all failed guards are returned; "many": as well, and the commands
--                     are carried out without their replies (a batch of many records); "check":
--                     as well, and nothing is carried out
--        guard count, then per guard:     name, argument count, arguments
--        command count, then per command: name, key, argument count, arguments
--
-- Guards. Each has a number, by which its failure is told; those with "..." may be several in one
--   absent  values class-set, then (number key member note) ...   the record does not exist;
--                                      neither has it left another note in the expiry registry
--                                      than this one, nor its key in the class set
--   exists  (number key) ...           the record exists
--   holds   field-count fields..., then (number key bytes...) ...   these hash fields still hold
--                                      these bytes ("" = missing)
--   claim   field values coverage, then (number set member old bytes) ...   no other live record
--                                      of the set holds it
--   slot    number hash digest alternative member old field bytes ...   the same for a composite
--                                      index
--   addable number key field delta kind   the field holds a number (or none), and Lua's doubles
--                                      add the delta to it exactly; kind is "int" or "float"
--   unreferred  number set member...   no record that is there is in the set, but these and those
--                                      that a SREM of this call takes out; no SADD puts one in
--
-- Commands: any write of the server, and these, which decide by what the server holds
--   ENTER     values coverage field, then (set member text has-text) ...   add entries and texts
--   LEAVE     values coverage field, then (set member text has-text) ...   remove them
--   RETIRE    registry values, then (key member) ...        delete records, forget their expiry
--   FORGET    registry values, then (key member) ...        forget the expiry of records
--   HDELIF    hash field expected                           remove a slot that is still ours
--   SLOT      hash digest alternative member field bytes ...   take a slot, or the
--             alternative one where other values stand in it
--   MOVE      key to                                        rename; delete the target where there
--             is nothing to rename
--   KIND      key type                                      nothing: a key of another type is refused
--   FILL      fields-count fields and values..., then (key) ...   set these fields of each hash
--             that exists
--   CARRY     key layout member to name                     take what a record has in a hash or a
--             sorted set ("zset") of many along; what stood there goes in any case
--   FOLLOW    key record                                    expire when the record does
--   RESCHEDULE key registry values member                   correct the registry by the key
--   ADD       key field delta kind [zset member]            add to the number that an addable
--             guard has looked at, and set the score of a sorted index; replies the new bytes
--   POINT     - (newer-key older-key record field set) ...   let pointers of popoto 1.8 to 1.10
--             that there are name this set (see pointing.lua)
--   UNPOINT   - (newer-key older-key) ...                   remove those that there are
--   KEYED     - name kinds words...                         a command of the server with several
--             keys: for each word "k" (a key) or "v" in kinds
--   EXPIRE-IN / EXPIRE-AT / EXPIRE-AS-IS   key amount registry values member
--             companion-count companions... fields...       (see expiring.lua)
--
-- Reply  {1, reply...} ({1} in mode "many")  or  {0, guard number, what failed, details...}; for
--        absent and holds the details are the key and what its hash holds: field, bytes, ... What
--        failed is also: note (an expired record left one; details: key, note), orphan (a record
--        went without one), type (of a key; details: key, what it holds, what belongs there),
--        number (text where a number belongs; details: key, hash field, text), referred (details:
--        the set, and some of its members). The number is 0
--        where no guard but a command needs the key.
--        In modes "every", "many" and "check"  {2, {guard number, what failed, details...}, ...}
--        {3, {problem, ...}, reply...}  carried out, except for commands that a hook had queued
--        and that the server refused
-- Cost   O(guards + commands); claims add the members of one value's set

-- Check the guards.
local at = 4
for _ = 1, ARGV[3] + 0 do
  local name, last = ARGV[at], at + 1 + ARGV[at + 1]
  step_named(name)(at + 2, last)
  if failures[2] and not wants_every then
    return hindrance or failures[2]
  end
  at = last + 1
end
if hindrance or failures[2] then
  return hindrance or failures
end

-- Look at the commands.
local count, first_command = ARGV[at] + 0, at + 1
at = first_command
for _ = 1, count do
  local name, key, last = ARGV[at], key_at(at + 1), at + 2 + ARGV[at + 2]
  local measure, failure = key and SIZES[name], nil
  if measure then
    failure = not allowed[name] and denied(name, key) or measure ~= ANY and unlike(key, measure)
  else
    failure = look_named(name)(key, at + 3, last, name)
  end
  if failure then
    return hindrance or failure
  end
  at = last + 1
end
if referred then
  parts[make_referring].look(first_command, count)
  if failures[2] then
    return hindrance or wants_every and failures or failures[2]
  end
end
local failure = dead_claims and make_claims().look_at_dead()
if hindrance or failure then
  return hindrance or failure
elseif mode == 'check' then
  return {1}
end

-- Carry out the commands. Guards alone are a question, which changes nothing.
if dead_claims and count > 0 then
  make_claims().release_dead()
end
local replies, problems, has_written = {1}, nil, dead_claims
at = first_command
for position = 1, count do
  local name, key, last = ARGV[at], key_at(at + 1), at + 2 + ARGV[at + 2]
  local step, reply = step_named(name), nil
  if step then
    reply = step(key, at + 3, last)
  elseif key then
    reply = redis.pcall(name, key, unpack(ARGV, at + 3, last))
  else
    reply = redis.pcall(name, unpack(ARGV, at + 3, last))
  end
  if type(reply) ~= 'table' or not reply.err then
    has_written = has_written or name ~= 'KIND'
  elseif not has_written or make_queued_looks().is_of_server(reply.err) then
    return reply
  else
    -- What no look foresees, such as a wrong argument of a command that a hook has queued. To
    -- stop now would leave half of the rest.
    problems = problems or {}
    problems[#problems + 1] = name .. ' ' .. (key or '') .. ': ' .. reply.err
    reply = false
  end
  if mode ~= 'many' then
    replies[position + 1] = reply
  end
  at = last + 1
end
if problems and mode == 'error' then
  return redis.error_reply('POPOTO the write was carried out, except for ' .. problems[1])
elseif problems then
  replies[1] = 3
  table.insert(replies, 2, problems)
end
return replies
