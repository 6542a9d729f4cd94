-- query/query.lua: evaluate one query where the data is, and return only the answer.
--
-- KEYS   1 class set · 2 expiry registry · 3 its values · then what the tree names by position
-- ARGV   prefix     put before a record key to read it (cluster hash tag, or "")
--        mode       count | keys | records
--        offset     how many live matches to skip; -1 = only the last match is wanted
--        limit      how many to return; -1 = all
--        page       how many records to read in this call; the keys of the rest are returned
--        trust      class sets larger than this are compared with the keys' sorted set by samples
--        order      key (by record key) | score (by a sorted set of all) | nulls_first, nulls_last
--                   (by a sorted set that some may have no entry in) | found (nearest first) | any
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
-- Reply  {found, rest, due, distances, dead, stood}
--        found   count: the number · keys: the keys · records: {key, {values...}} per record
--        rest    records: keys of the matches that were not read in this call
--        due     {key, packed values, ...} of records that have expired, for the caller to sweep
--        distances  for "near" trees in order "found": one per element of found and rest
--        dead    as due: records that were met in an index and do not exist
--        stood   {set, key, ...} where dead records were met by their text: the caller does not
--                know these sets
-- Cost   O(cheapest operand) or, in the order of a sorted set with a limit,
--        O(limit / selectivity)

-- Read the tree.
local root = read_node()
local due = expired()

-- Count.
if mode == 'count' then
  return {open('counting').count(root, due), {}, due, {}, dead, sets_of_dead()}
end

-- Find in order.
local ordering = open(order)
if exact_to > 0 and ordering.is_inexact() then
  return {'inexact', {}, due, {}, dead, sets_of_dead()}
end
local list = ordering.find(root)

-- Answer.
local found, rest, far = {}, {}, {}
for index = offset + 1, math.min(#list, wanted) do
  local key = list[index]
  if mode == 'keys' then
    found[#found + 1] = key
  elseif #found < page then
    found[#found + 1] = record_of(key)
  else
    rest[#rest + 1] = key
  end
  if distances then
    far[#far + 1] = distance_of(key)
  end
end
return {found, rest, due, far, dead, sets_of_dead()}
