-- memory/packing.lua: MessagePack as memory fields store it. The server's own packer makes ints of
-- whole floats and leaves the order of maps open.

local function packed_float(number)
  return '\203' .. struct.pack('>d', number)
end

-- Counts, and short texts.
local function packed_count(number)
  return number < 128 and string.char(number) or cmsgpack.pack(number)
end

local function packed_name(name)
  return string.char(160 + #name) .. name
end

-- The shortest text that reads back as the same number.
local function text_of_number(number)
  for digits = 15, 17 do
    local text = string.format('%.' .. digits .. 'g', number)
    if tonumber(text) == number then
      return text
    end
  end
  return tostring(number)
end

-- The same, as events have it: 1.0 and not 1, like every float of popoto 1.6 there.
local function text_of_float(number)
  local text = text_of_number(number)
  return text:find('[^%d-]') and text or text .. '.0'
end

-- Stored bytes as a table; nil for anything else.
local function unpacked_table(bytes)
  if not bytes then
    return nil
  end
  local decoded, found = pcall(cmsgpack.unpack, bytes)
  return decoded and type(found) == 'table' and found or nil
end

-- What a command leaves for a later one of the same call (TELL).
local told = {}
