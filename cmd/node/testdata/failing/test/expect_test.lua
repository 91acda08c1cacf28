local function echo(t, message)
  local c = t.connect("/ws/echo")
  c.send(message)
  return c
end

test("a field differs", function(t)
  echo(t, { event = "said", text = "hello", by = { name = "Ada", tags = { "a", "b" } } })
    .expect({ event = "said", text = "hullo", by = { name = "Eve", tags = { "a" }, age = 36 }, at = {} })
end)

test("text is not JSON", function(t)
  echo(t, { a = 1 }).expect("hello")
end)

test("no frame comes", function(t)
  t.connect("/ws/echo").expect({ event = "said" })
end)

test("no frame fits", function(t)
  local c = echo(t, { n = 1 })
  t.advance(20)
  c.send({ n = 2 })
  c.await({ n = 3 })
end)

test("a frame comes", function(t)
  echo(t, { n = 1 }).quiet()
end)

test("it is open", function(t)
  t.connect("/ws/echo").closed(1000)
end)

test("it was closed with another code", function(t)
  echo(t, { close = 4000 }).closed(4001)
end)

test("it was closed and nobody expected it", function(t)
  echo(t, { close = 4000 }).quiet()
end)

test("a frame of a closed connection", function(t)
  echo(t, { close = 4000 }).expect({})
end)

test("it was refused", function(t)
  t.connect("/ws/nowhere").send("hello")
end)

test("two values are not equal", function(t)
  t.equal({ 1, 2, { name = "Ada", age = 36 } }, { 1, 2, { name = "Eve", tags = {} } })
end)

test("a handler raises", function(t)
  print("before", 1)
  echo(t, { raise = true }).expect({})
end)

local function deep(t)
  t.equal(1, 2)
end

test("in a function of the file", function(t)
  deep(t)
end)

test("the test itself raises", function(t)
  local nothing
  return nothing.field
end)

test("an option is misspelt", function(t)
  t.connect("/ws/echo", { tokn = {} })
end)

test("there is no such node", function(t)
  t.kill(2)
end)

test("a loop", function(t)
  while true do end
end)

test("this one passes", function(t)
  echo(t, { event = "said" }).expect({})
end)
