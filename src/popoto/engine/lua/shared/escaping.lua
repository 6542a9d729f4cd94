-- shared/escaping.lua: how a text stands in a key.

local function make_escaping()
  local escapes = {
    ['/'] = '//', ["'"] = "/'", ['?'] = '/?', ['*'] = '/*', ['^'] = '/^',
    ['['] = '/[', [']'] = '/]', ['-'] = '/-', [':'] = ESCAPED_SEPARATOR,
  }

  local function escape(text)
    return (string.gsub(text, "[/'?*^%[%]%-:]", escapes))
  end

  return {escape = escape}
end
