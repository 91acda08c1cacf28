-- What the programs of the differential test call. It runs before each of them,
-- in PUC Lua and in ours, and so uses nothing of which either is unsure.

local buffer, calls = {}, 0

-- show gives the same text for the same value in both. Numbers have the digits
-- of PUC Lua, and errors of the machine their place: how they are worded differs.
local function show(v, depth)
  local t = type(v)
  if t == "number" then return (string.format("%.14g", v):gsub("^-nan", "nan")) end
  if t == "string" then return '"' .. v:gsub("(%a+: )0x%x+", "%1") .. '"' end
  if t ~= "table" then
    if v == nil or t == "boolean" then return tostring(v) end
    return t
  end
  if depth > 3 then return "table" end
  local parts = {}
  for k, e in next, v, nil do
    parts[#parts + 1] = show(k, depth + 1) .. "=" .. show(e, depth + 1)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

-- out notes values.
function out(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = show((select(i, ...)), 0) end
  buffer[#buffer + 1] = table.concat(parts, " ")
end

local function place(e)
  if type(e) ~= "string" or e:find("E:", 1, true) then return e end
  return "at " .. (e:match("^t%.lua:%d+:") or "?")
end

local function protected(ok, ...)
  if ok then return ok, ... end
  return ok, place((...))
end

-- P is pcall, with errors as both have them.
function P(f, ...) return protected(pcall(f, ...)) end

-- L makes a place of an error that a coroutine or pcall gave.
L = place

-- fuel ends programs that call on without end.
function fuel()
  calls = calls + 1
  if calls > 60 then error("E:fuel", 0) end
end

-- H gives a list without holes and without metatable, of which both know the length.
function H(t)
  if type(t) ~= "table" or getmetatable(t) then return { 3, 1, 2 } end
  local n, list = 0, {}
  for k in next, t, nil do
    if type(k) == "number" and k >= 1 and k == math.floor(k) then n = math.max(n, k) end
  end
  for i = 1, math.min(n, 20) do
    if t[i] == nil then return list end
    list[i] = t[i]
  end
  return list
end

-- N gives a value, but none that is beyond C's integers.
function N(v)
  local n = tonumber(v)
  if n and not (n > -2 ^ 31 and n < 2 ^ 31) then return 1 end
  return v
end

-- keys are those of a table in an order of their own.
function keys(t)
  local list = {}
  for k in pairs(t) do list[#list + 1] = show(k, 0) end
  table.sort(list)
  return list
end

function result() return table.concat(buffer, "\n") end
