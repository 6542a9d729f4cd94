-- memory/confidence/reading.lua: the confidence that stored evidence tells, for scripts that only read.

-- How evidence begins that popoto has written: a map of four, the confidence first, a float64.
local EVIDENCE = '\132\170confidence\203'

-- The confidence of stored bytes; nil where there is nothing to read.
local function confidence_in(bytes)
  local confidence
  if string.sub(bytes, 1, 13) == EVIDENCE and #bytes >= 21 then
    confidence = struct.unpack('>d', bytes, 14)
  else
    local decoded, found = pcall(cmsgpack.unpack, bytes)
    confidence = decoded and type(found) == 'table' and (found.confidence or found[1])
  end
  if type(confidence) ~= 'number' or confidence - confidence ~= 0 then
    return nil
  end
  return confidence
end
