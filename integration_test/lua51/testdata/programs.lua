--- and, or into an existing local (yuin/gopher-lua#490)
local function no() return false end
local ok = true
ok = no() and true
local x, a, b = 1, nil, 2
x = a and b
local y = 5
y = a or b
local z = 3
z = z and no()
local w = 1
w = (w == 2) or nil
local v = "old"
v = v == "old" and no() or no()
out(ok, x, y, z, w, v)
--- swaps of locals (#440)
local a, b = 1, 2
a, b = b, a
out(a, b)
a, b = b, a + b
out(a, b)
local c = 3
a, b, c = c, a, b
out(a, b, c)
--- swaps over other places
G = "global"
local a, t, i = "local", { n = "field", x = 1 }, 1
a, G = G, a
out(a, G)
t.n, a = a, t.n
out(t.n, a)
G, t.n = t.n, G
out(G, t.n)
local up = "upvalue"
local function swap() local l = "inner" l, up = up, l return l end
out(swap(), up)
local v, x = 0, "x"
v, t[v] = 1, x
out(v, t[0], t[1])
i, t[i] = i + 1, 20
out(i, t[1], t[2])
t, t.y = { 7 }, 8
out(t)
i, t[i], i = 5, 6, 7
out(i, t)
--- more values than targets, and fewer
local a, b, c = 1
out(a, b, c)
a, b = (function() return 1, 2, 3 end)()
out(a, b)
a, b, c = 0, (function() return 1 end)()
out(a, b, c)
a = 1, out("worked out all the same")
a, b, c = ...
out(a, b, c)
--- a local written after an error that was caught (#448)
local n = "anon"
local function who() return n end
P(error, "E:bad")
P(tonumber)
P(function() local t t.x = 1 end)
xpcall(function() error("E:bad") end, function() end)
coroutine.resume(coroutine.create(function() error("E:bad") end))
n = "ada"
out(who())
local function deeper()
  local m = "before"
  local function get() return m end
  P(function() P(error) local k = 1 local f = function() return k end error(f) end)
  m = "after"
  return get(), n
end
out(deeper())
--- what a function that failed had captured
local kept
P(function() local x = 1 kept = function() x = x + 1 return x end error("E:x") end)
local a, b, c = "a", "b", "c"
out(kept(), kept(), a, b, c)
--- generic for with fewer than three values (#514)
for k, v in next, { 5, 6, 7 } do out(k, v) end
for k in next, { a = 1 } do out(k) end
local n = 0
for a, b, c, d in function() n = n + 1 if n < 3 then return n, n * 2 end end do out(a, b, c, d) end
for i, v in ipairs({ 1 }), "no state" do out(i, v) end
--- numbers from strings (#478)
out("00001" + "00011", "010" * 1, "0x10" + 0, " 5 " - 1, "1e1" / 2, -"3", "08" % 5, "2" ^ "3")
out(P(function() return "1_000" + 0 end))
out(P(function() return "0b1" + 0 end))
out(P(function() return "0o7" + 0 end))
out(P(function() return "" + 1 end))
out(("x"):rep("010"), ("abc"):sub("02"), #("x"):rep("0x3"))
for i = "1", "3" do out(i) end
out(10 == "10", "10" + 5 .. "", 1 .. 2)
out("1\0" + 1, tonumber("2\0x"), tonumber("f\0", 16), tonumber("\0001"), P(function() return "x\0" + 1 end))
--- a constant condition at the start of a loop (#540)
for _ in pairs({ 1, 2 }) do if false then out("never") end end
for _ in pairs({ 1, 2 }) do if nil then out("never") else out("else") end end
for i = 1, 2 do if false then out("never") end end
local n = 0
while n < 2 do if false then out("never") end n = n + 1 end
repeat if nil then out("never") end n = n + 1 until n > 4
while true do break end
while false do out("never") end
while nil or n < 7 do n = n + 1 end
for _ in pairs({ 1 }) do local x = true and n out(x) end
for _ in pairs({ 1 }) do while false do end out("after") end
out(n, not not nil, false or nil, nil and 1, true and false, 1 and 2 or 3, nil or false)
--- break out of a block with a captured local
local fs = {}
for i = 1, 3 do
  local a = i
  if i == 2 then
    local x = i * 10
    fs[#fs + 1] = function() x = x + 1 return x, a end
    break
  end
  fs[#fs + 1] = function() return a end
end
local l1, l2, l3, l4 = "l1", "l2", "l3", "l4"
for _, f in ipairs(fs) do out(f()) end
out(fs[2]())
out(l1, l2, l3, l4)
--- closures of each turn of a loop
local fs = {}
for i = 1, 3 do fs[#fs + 1] = function() i = i + 1 return i end end
for k, v in ipairs({ "a", "b" }) do fs[#fs + 1] = function() return k, v end end
local n = 0
while n < 2 do n = n + 1 local m = n fs[#fs + 1] = function() m = m + 10 return m end end
repeat local r = n fs[#fs + 1] = function() return r end n = n + 1 until r > 2
for i = 1, #fs do out(fs[i]()) out(fs[i]()) end
--- local function, and a function in a local
local function fact(n) if n < 2 then return 1 end return n * fact(n - 1) end
out(fact(5))
local f = function() return type(f) end
out(f())
local g = "outer"
local g = function() return g end
out(g())
--- repeat sees the body's locals
local i = 0
repeat local done = i >= 2 i = i + 1 until done
out(i)
--- methods, fields and calls
local obj = { n = 0, inner = { deep = { m = function(self, x) return self.id, x end, id = "deep" } } }
function obj:inc(by) self.n = self.n + (by or 1) return self end
function obj.inner.f(...) return select("#", ...), ... end
function obj.inner.deep:me() return self.id end
out(obj:inc():inc(5):inc().n, obj.inner.f(nil, nil), obj.inner.deep:m(3), obj.inner.deep:me())
out(("%d-%s"):format(3, "x"), #"abc", -2 ^ 2, 2 ^ -1, 2 ^ 3 ^ 2, not 1 == 2, "a" .. "b" .. "c" == "abc", 1 .. "")
out((obj.inner.f(1, 2)), (...), { obj.inner.f(1, 2), obj.inner.f(3) }, { (obj.inner.f(1, 2)) })
--- the order of evaluation
local log = {}
local function note(x) log[#log + 1] = x return x end
local t = setmetatable({}, { __newindex = function(_, k, v) note("set " .. k .. v) end })
t[note("k1")], t[note("k2")] = note("v1"), note("v2")
out(log)
local a = 1
local function change() a = 10 return 1 end
out(a + change(), change() + a)
local b = { a, [1] = "first", "second" }
out(b)
--- long tables and calls
local t = {}
for i = 1, 600 do t[i] = i end
local function count(...) return select("#", ...) end
out(count(unpack(t)), #{ unpack(t) }, #{ 0, unpack(t) })
out(#{ 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50, unpack(t) })
out(#{ 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51, k = 1, unpack(t) })
--- varargs and arg
local function old(...) return arg.n, arg[1], arg[2] end
local function new(...) local a = ... return type(arg), a, select("#", ...) end
local function both(x, ...) local n = select("#", ...) return n, x end
out(old(1, nil), new(2, 3), both(), both(1, nil, nil))
--- tail calls
local function loop(n) if n == 0 then return "done" end return loop(n - 1) end
out(loop(10000))
out((function(...) return select(2, ...) end)(1, 2, 3))
out(P(function() return error("E:tail") end))
--- coroutines
local co = coroutine.wrap(function(a, b)
  local c = coroutine.yield(a + b)
  local d, e = coroutine.yield(c * 2)
  return d + e
end)
out(co(1, 2), co(10), co(3, 4), P(co))
local gen = coroutine.create(function() for i = 1, 3 do coroutine.yield(i) end end)
while true do local ok, v = coroutine.resume(gen) out(ok, v, coroutine.status(gen)) if not v then break end end
out(coroutine.resume(gen))
out(select("#", coroutine.wrap(function() end)()), select("#", coroutine.wrap(function() return nil end)()))
--- metatables
local V = {}
V.__index = V
V.__add = function(a, b) return setmetatable({ x = a.x + b.x }, V) end
V.__eq = function(a, b) return a.x == b.x end
V.__lt = function(a, b) return a.x < b.x end
V.__le = function(a, b) return a.x <= b.x end
V.__call = function(self, ...) return self.x, ... end
V.__concat = function(a, b) return (type(a) == "table" and a.x or a) .. "~" .. (type(b) == "table" and b.x or b) end
V.__tostring = function(v) return "V" .. v.x end
V.__unm = function(v) return setmetatable({ x = -v.x }, V) end
local function new(x) return setmetatable({ x = x }, V) end
local a, b = new(1), new(2)
out((a + b).x, a == b, a == new(1), a < b, a <= b, a > b, a >= b, a("c"), a .. b, a .. "s", 1 .. a, tostring(a), (-a).x)
out(0.5 .. a, "1" .. 0.25 .. a, a .. 1 .. 2)
out(P(function() return "10" + a end))
local M = setmetatable({}, { __add = function(x, y) return type(x) .. type(y) end })
out("10" + M, M + "10", "abc" + M, 1 + M)
--- what a yield gives back
local function body(...)
  out("begun", ...)
  local a, b, c = coroutine.yield("one")
  out(a, b, c)
  local d = coroutine.yield("two")
  out(d)
  coroutine.yield("three")
  out(select("#", coroutine.yield("four")), (coroutine.yield("five")))
  local t = { coroutine.yield("six") }
  out(t)
  local function tail(...) return coroutine.yield(...) end
  local e, f = tail("seven")
  out(e, f)
  out((tail("eight")))
  for i = 1, 2 do local x, y = tail(i) out(x, y) end
  return coroutine.yield("last")
end
for n = 0, 4 do
  local co = coroutine.create(body)
  local args = {}
  for i = 1, n do args[i] = i end
  for _ = 1, 13 do
    out(coroutine.status(co), coroutine.resume(co, unpack(args)))
  end
end
--- a key that no table can have is an error before __newindex
local log = {}
local t = setmetatable({}, { __newindex = function(t, k, v)
  log[#log + 1] = type(k)
  rawset(t, "n", v)
end })
out(P(function()
  local none
  t[none] = 1
end))
out(P(function()
  t[0 / 0] = 2
end))
local chain = setmetatable({}, { __newindex = t })
out(P(function()
  chain[nil] = 3
end))
t.x, chain.y = 4, 5
out(log, t)
--- an error of a wrapped coroutine has the position of the call before its own
local function fails() error("E:in") end
out(P(function()
  return (coroutine.wrap(fails)())
end))
out(P(function()
  for _ in coroutine.wrap(fails) do end
end))
out(P(coroutine.wrap(fails)))
out(P(function() return (coroutine.wrap(function() error("E:at", 0) end)()) end))
out(P(function() return (coroutine.wrap(function() error({ 1 }) end)()) end))
out(P(function() return (coroutine.wrap(function() error(7) end)()) end))
--- levels of functions that left by a tail call have no position
local function raises(level) error("E:x", level) end
local function tail1(level) return raises(level) end
local function tail2(level) return tail1(level) end
local function calls(level)
  tail2(level)
  return 1
end
for level = -1, 8 do out(level, pcall(calls, level)) end
--- xpcall of what cannot be called, and handlers that fail
out(xpcall(nil, function(e) return type(e) end))
out(xpcall({}, function() return "handled", "no second" end))
out(xpcall(function() error("E:x") end, nil))
out(xpcall(function() error("E:x") end, setmetatable({}, { __call = function() return "called" end })))
out(xpcall(function() error("E:x") end, function() error("E:y") end))
local n = 0
out(xpcall(function() error("E:x", 0) end, function(e)
  n = n + 1
  if n < 3 then error(e .. n, 0) end
  return e
end))
out(xpcall(function() return 1, nil, 3, nil end, type))
--- table.insert outside of the elements, and table.remove of nothing
local t = { 1, 2 }
table.insert(t, 5, "far")
out(#t == 2 or #t == 5, t[5], t[3])
local t = { 1, 2 }
table.insert(t, 0, "zero")
out(t[0], t)
t = { [-1] = "m", [0] = "z", 1 }
table.insert(t, -2, "below")
out(t)
out(table.concat({ [0] = "z", "a", [-1] = "y" }, ",", -1, 1))
out(select("#", table.remove({})), select("#", table.remove({ 1 }, 5)), select("#", table.remove({ 1 })))
--- tostring gives what __tostring gives
local function with(v) return setmetatable({}, { __tostring = function() return v, 2 end }) end
out(tostring(with("s")), tostring(with(5)) == 5, tostring(with(nil)), tostring(with(false)), type(tostring(with({}))))
--- the line of an error in code over several lines
local none
out(P(function()
  return 1 +
    2 *
    none
end))
out(P(function()
  return "a" ..
    "b" ..
    none ..
    "c"
end))
out(P(function()
  return 1 <
    none
end))
out(P(function()
  return -
    none
end))
out(P(function()
  none.x =
    5
end))
out(P(function()
  none.x, G =
    5,
    6
end))
out(P(function()
  none.x = function()
  end
end))
out(P(function()
  function none.x()
  end
end))
out(P(function()
  return {
    1,
    [none] =
      2,
    3
  }
end))
out(P(function()
  return out
    .x
    .y
    .z
end))
out(P(function()
  out
    .x
    .y(
      1)
end))
out(P(function()
  out(
    1,
    none(
      2
    )
  )
end))
out(P(function()
  none(function()
    return 1
  end)
end))
out(P(function()
  for _ = 1,
    "x" do
  end
end))
out(P(function()
  for _ = none,
    2 do
  end
end))
out(P(function()
  for _ in
    none,
    5 do
  end
end))
out(P(function()
  for _
    in
    function() return none + 1 end do
  end
end))
out(P(function()
  while 1 +
    none do
  end
end))
local function at2() error("E:at2", 2) end
out(P(function()
  at2(
    1,
    2
  )
end))
out(P(function()
  local x = (function()
    return at2
  end)()()
end))
--- flags of string.format that belong together
for _, spec in ipairs({ "%#08x", "%#010X", "%+.0d", "%+5.d", "% .0i", "%#o", "%#.0o", "%#.3o", "%#08.3o", "%-#8x", "%05d", "%05.2d", "%+05d", "% 5d", "%.3u" }) do
  for _, n in ipairs({ 0, 1, 65, -7, 255 }) do out(spec, n, (spec .. "|"):format(n)) end
end
--- the remainder of fractions, as the manual defines it
local values = { 0, 1, -1, 0.1, -0.1, 0.3, 0.7, 5.5, -7.25, 1 / 3, 10, 1e-10, 1e10, 3, 255 }
for _, a in ipairs(values) do
  for _, b in ipairs(values) do
    local x, y = a, b
    x = x % y
    out(a, b, a % b, x, y, tostring(a) % b, a % 0.1, 5 % b, a % 3, a % b % 0.3, (a % b) % (b % a))
  end
end
out(1 % 0.1, 5.3 % -2, -5.3 % 2, 5 % (1 / 0) ~= 5 % (1 / 0), math.max(1, 0 / 0, 2), math.min(1, 0 / 0, 2))
local up, huge = 1, math.huge
out((function() up = up % 0.1 return up end)(), 5 % -huge ~= 5 % -huge, huge % 2 ~= huge % 2)
--- dates and random numbers with odd arguments
for _, at in ipairs({ 0, 1, 86399, 951782400, 1e9, "5", 1.9, 253402300799 }) do
  for letter in ("aAbBcdHIjmMpPSUwWxXyYZ%DeFghklnrRtTuCGVs"):gmatch(".") do out(letter, os.date("!%" .. letter, at)) end
  out(os.date("!*t", at))
end
out(math.random(1), math.random(1.9), math.random(3.9, 3.1), math.random(-0.5, 0.5))
out(P(function() return math.random(0) end))
out(P(function() return math.random(2, 1) end))
out(P(function() return math.random(1, 2, 3) end))
