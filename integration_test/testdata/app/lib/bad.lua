-- What handlers should not do. Lines are named by tests: a change here moves them.
local bad = {}

function bad.raise()
  error("on purpose")
end

function bad.loop()
  while true do end -- line 9
end

function bad.caught()
  pcall(function() while true do end end)
  return { send = "the budget was caught" }
end

local function down(n)
  return 1 + down(n + 1)
end

function bad.recurse()
  return { send = tostring(down(0)) }
end

function bad.fill()
  local t = {}
  while true do
    t[#t + 1] = ("x"):rep(900000) .. #t
  end
end

function bad.pattern()
  return { send = tostring(string.find(("a"):rep(60000), ".-b")) }
end

function bad.double()
  local s = "x"
  while true do
    s = s .. s
  end
end

function bad.rep()
  return { send = #("x"):rep(1e9) }
end

function bad.gsub()
  return { send = (("a"):rep(60000):gsub("a", ("b"):rep(60000))) }
end

function bad.sort()
  local t = {}
  for i = 1, 20000 do
    t[i] = i
  end
  table.sort(t, function(a, b)
    for _ = 1, 1000 do end
    return a < b
  end)
  return { send = "sorted" }
end

function bad.nested()
  return { send = tostring(json.decode(("["):rep(1e6))) }
end

function bad.coroutine()
  local f = coroutine.wrap(function() while true do end end)
  f()
end

return bad
