-- memory/bm25/asked.lua: what search.lua learns of index and question, by the names that its parts use.

-- The constants of the formula, how many words a document has on average, and the key of how many
-- each has.
local k1, b, average, lengths
-- The query that a document has to match before it is found; nil for none.
local condition
