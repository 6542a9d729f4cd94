-- shared/stored.lua: what the bytes of a stored value are, as far as scripts have to know.
--
-- Values are MessagePack. A text is a header that tells its length, then its bytes.

local NULL = '\192'

-- How ":" stands in a key. A set may serve two texts: ":" and this, None and "None".
local ESCAPED_SEPARATOR = '{&#58;}'

-- Where the text in stored bytes begins; nil for what is no text.
local function start_of_text(bytes)
  local head = string.byte(bytes)
  if not head or head < 160 or head > 219 then
    return nil
  elseif head <= 191 then
    return 2
  end
  return head == 217 and 3 or head == 218 and 4 or head == 219 and 6 or nil
end
