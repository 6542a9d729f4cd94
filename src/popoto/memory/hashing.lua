-- memory/hashing.lua: the hash of popoto 1.6 (version 1), in doubles as it was computed there.
--
--   h <- (h * factor + byte) mod 2^52, rounded after each step
--
-- Products exceed 2^53, so low bits are lost. This has to be so to the last bit: what it has placed
-- is looked for where it was placed.

local function hash_of_1_6(text, start, factor)
  local hash = start
  for index = 1, #text do
    hash = (hash * factor + string.byte(text, index)) % 4503599627370496
  end
  return hash
end

-- A mark or a note without what it is filled up with.
local function without_padding(mark)
  return (string.gsub(string.sub(mark, 1, 64), '%s+$', ''))
end
