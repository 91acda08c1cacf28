-- Calls a function by its name, such as "store.set", and tells what came of it.
local M = {}

-- args is an array; json.null stands for nil. A table {["$repeat"] = s, times = n} is a long string, {["$fn"] = 1} a function.
local function value(v)
  if v == json.null then
    return nil
  end
  if type(v) == "table" and v["$repeat"] then
    return v["$repeat"]:rep(v.times)
  end
  if type(v) == "table" and v["$fn"] then
    return function() end
  end
  return v
end

local function outcome(id, ok, ...)
  if not ok then
    return { reply = id, error = tostring((...)) }
  end
  local results = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    results[i] = v == nil and json.null or v
  end
  return { reply = id, results = json.array(results) }
end

-- A table made anew, so that it is the handler's own and not JSON.
function M.copy(v)
  if type(v) ~= "table" then
    return v
  end
  local t = {}
  for k, e in pairs(v) do
    t[k] = M.copy(e)
  end
  return t
end

-- Guards what comes after it: "auth" wants a token, any other word a role.
function M.require(what)
  if what == "auth" then
    solidb.auth.require_auth()
  elseif what then
    solidb.auth.require_role(what)
  end
end

function M.find(name)
  local f = _G
  for part in name:gmatch("[^.]+") do
    f = f[part]
  end
  return f
end

function M.call(command)
  local args, n = {}, #(command.args or {})
  for i = 1, n do
    args[i] = value(command.args[i])
  end
  local found, f = pcall(M.find, command.call)
  if not found then
    return { reply = command.id, error = "there is no " .. command.call }
  end
  if type(f) ~= "function" then
    return { reply = command.id, results = json.array({ f }) }
  end
  return outcome(command.id, pcall(f, unpack(args, 1, n)))
end

return M
