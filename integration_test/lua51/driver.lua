-- Runs in PUC Lua: lua5.1 driver.lua PRELUDE PROGRAMS. Programs come as
-- "<length>\n<text>", results leave the same way.
local function read(name)
  local f = assert(io.open(name, "rb"))
  local text = f:read("*a")
  f:close()
  return text
end

local prelude = assert(loadstring(read(arg[1]), "=prelude.lua"))
local programs, at = read(arg[2]), 1
while at <= #programs do
  local first, last = programs:find("^%d+\n", at)
  local length = tonumber(programs:sub(first, last - 1))
  local source = programs:sub(last + 1, last + length)
  at = last + length + 1
  local env = setmetatable({}, { __index = _G })
  env._G = env
  setfenv(prelude, env)()
  local chunk, why = loadstring(source, "=t.lua")
  local answer
  if not chunk then
    answer = "does not compile: " .. why
  else
    setfenv(chunk, env)
    debug.sethook(function() error("E:slow", 0) end, "", 1e7)
    env.out("end", env.P(chunk, 11, "v", nil, 7.5))
    debug.sethook()
    answer = env.result()
  end
  io.write(#answer, "\n", answer)
end
