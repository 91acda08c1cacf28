-- rollcall test examples/whos-online

local PATH = "/api/custom/_system/online"

test("one join for a user's first connection, one leave after the last", function(t)
  local ada = t.connect(PATH .. "?user=ada&name=Ada")
  ada.expect({ event = "list", you = "ada", users = { { id = "ada", name = "Ada" } } })
  local first = t.connect(PATH .. "?user=bob&name=Bob", { node = 2 })
  first.expect({ event = "list", users = { { id = "ada" }, { id = "bob" } } })
  ada.expect({ event = "join", user = { id = "bob", name = "Bob" } })
  local second = t.connect(PATH .. "?user=bob&name=Bob")
  second.expect({ event = "list", users = { {}, {} } })
  first.close()
  ada.quiet()
  second.close()
  ada.expect({ event = "leave", user = { id = "bob" } })
end)

test("a message is a new name", function(t)
  local ada, bob = t.connect(PATH .. "?user=ada"), t.connect(PATH .. "?user=bob")
  ada.await({ event = "join" })
  bob.send("Robert")
  ada.expect({ event = "update", user = { id = "bob", name = "Robert" } })
  bob.send(("x"):rep(201))
  ada.quiet()
end)

test("without a name each connection is a guest of its own", function(t)
  t.connect(PATH)
  local users = t.connect(PATH).expect({ event = "list", users = { { name = "Guest" }, { name = "Guest" } } }).users
  assert(users[1].id ~= users[2].id)
end)

test("the list over HTTP", function(t)
  t.equal(t.request("GET", PATH).body, { count = 0, users = {} })
  t.connect(PATH .. "?user=ada&name=Ada")
  t.connect(PATH .. "?user=ada&name=Ada")
  t.equal(t.request("GET", PATH).body, { count = 1, users = { { id = "ada", name = "Ada", connections = 2 } } })
end)
