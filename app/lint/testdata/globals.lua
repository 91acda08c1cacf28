Names that nobody defines. What comes before the first file is not read.

-- file room
local room = "a"
shared = 1
function handler(event)
  print(shared, late, rom) --> nobody defines "rom": did you mean "room"?
  later()
  late = 2
  local inner = event.type
  do
    local hidden = 1
    inner = hidden
  end
  print(hidden) --> nobody defines "hidden"
  ws_jion(room) --> nobody defines "ws_jion": did you mean "ws_join"?
  for i, v in ipairs({}) do print(i, v) end
  for n = 1, 2 do print(n) end
  print(i, n) --> nobody defines "i" & nobody defines "n"
  repeat local done = true until done
  local function again(...) return again(arg.n, ...) end
  local f = function() return f end --> nobody defines "f"
  local t = { x = x } --> nobody defines "x"
  function t:method() return self, again, f end
  return t and self --> nobody defines "self"
end
function later() return elsewhere, of_script, _VERSION end
goto finish
::finish::

-- file names-of-other-languages
-- A name that is asked for before it is used may be there elsewhere; one that is much like another is a mistake.
local unpack = unpack or table.unpack
local pack = table.pack or function(...) return { ... } end
if jit then jit.off() end
local old = setfenv and setfenv(1, {})
if type(utf8) == "table" then print(utf8.char) end
if ngx ~= nil then ngx.say(1) end
if ws_jion then ws_jion() end --> nobody defines "ws_jion": did you mean "ws_join"?
print(getfenv) --> nobody defines "getfenv"
_G.by_name = 1
print(by_name, _G.not_there, rawget(_G, "nor_this"))

-- file library
elsewhere = true
function strings() return ("x"):rep(3), ("x"):nothing() end

-- file script 1
of_script = 1
print(elsewhere, request, of_script)

-- file script 2
print(of_script) --> nobody defines "of_script"
