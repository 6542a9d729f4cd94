-- shared/escaping.lua: how a text stands in a key.

local ESCAPES = {
  ['/'] = '//', ["'"] = "/'", ['?'] = '/?', ['*'] = '/*', ['^'] = '/^',
  ['['] = '/[', [']'] = '/]', ['-'] = '/-', [':'] = ESCAPED_SEPARATOR,
}

local function escape(text)
  return (string.gsub(text, "[/'?*^%[%]%-:]", ESCAPES))
end
