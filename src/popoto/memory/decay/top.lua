-- memory/decay/top.lua: the records of an index with the highest scores, and what they hold.
--
-- KEYS   index    sorted set of record keys by the moment of the last touch
--        bases    sorted set of the same keys by base score (anything where there is none)
--        order    the model's record keys, in order
--        members  the model's record keys, as a set
--        notes    what records with an expiry have left, by record key
--        cycles, pressure   of a cyclic field: hashes by record key
-- ARGV   prefix   put before a record key (cluster hash tag, or "")
--        now, decay rate, how many
--        base field or "", "1" where `bases` is kept for it
--        number of hash fields, hash fields..., number of list fields, list fields...
--        number of candidates, candidates...   -1: every member of the index
-- Reply  {{{key, score, {values...}, ...}, ...}, {key, note, ...}, {way, members, scored}}: the
--        records; those that are gone, as far as they were met; how they were found, among how
--        many members, and of how many of these the score was computed
-- Cost   Without a base, O(log n) and the answer, ties included: the walk starts where scores are
--        highest. With `bases`, two walks that end once nobody behind them can be better (the
--        threshold algorithm: Fagin, Lotem, Naor 2001). Of a cyclic field, O(what its hashes
--        hold) for the bound of what they add, and then a walk that ends there, or that reads of
--        each member what tells that it is beaten. Else O(members).

local first_field = 8
local last_field = first_field - 1 + ARGV[7]
local first_list = last_field + 2
local last_list = first_list - 1 + ARGV[last_field + 1]

local way
if ARGV[last_list + 1] ~= '-1' then
  way = look_at_candidates(last_list + 2)
elseif cycles then
  way = make_cyclic_walk()()
elseif base_field == '' then
  way = walk_keys(number_of_tied()) or walk()
elseif keeps_bases and call('ZCARD', bases) == call('ZCARD', index) then
  way = walk_both()
else
  way = look_at_all()
end
prune()

local rows, dead = {}, {}
for place = 1, #best do
  local key = prefix .. best[place].member
  local row = {best[place].member, string.format('%.17g', best[place].score), {}}
  if last_field >= first_field then
    row[3] = call('HMGET', key, unpack(ARGV, first_field, last_field))
  end
  for list = first_list, last_list do
    row[#row + 1] = call('LRANGE', key .. '::' .. ARGV[list], 0, -1)
  end
  rows[place] = row
end
for place = 1, math.min(#gone, 500) do
  dead[#dead + 1] = gone[place]
  dead[#dead + 1] = call('HGET', notes, gone[place]) or ''
end
return {rows, dead, {way, call('ZCARD', index), scored}}
