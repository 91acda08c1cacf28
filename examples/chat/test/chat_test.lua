-- rollcall test examples/chat

local function enter(t, user, options)
  options = options or {}
  local query = "room=" .. (options.room or "lobby") .. "&user=" .. user .. "&name=" .. user:upper() .. (options.more or "")
  return t.connect("/ws/chat?" .. query, { node = options.node, token = options.token })
end

test("who comes sees who is there and what was said", function(t)
  local ada = enter(t, "ada")
  ada.expect({ event = "presence_state", channel = "chat:lobby", payload = { ada = { metas = { { name = "ADA", state = "online" } } } } })
  ada.expect({ event = "history", room = "lobby", messages = json.array({}) })
  ada.send({ type = "message", id = "1", text = "hello" })
  ada.expect({ event = "message", id = "1", n = 1 })

  local bob = enter(t, "bob")
  bob.expect({ event = "presence_state", payload = { ada = {}, bob = {} } })
  bob.expect({ event = "history", messages = { { text = "hello", user_id = "ada", name = "ADA" } } })
  ada.expect({ event = "presence_diff", payload = { joins = { bob = {} } } })
end)

test("a message reaches everybody in the room once, on every node", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob", { node = 2 })
  local eve = enter(t, "eve", { room = "random" })
  ada.await({ event = "presence_diff" })
  bob.await({ event = "history" })
  eve.await({ event = "history" })
  bob.send({ type = "message", id = "m1", text = "  hello\tthere  " })
  for _, c in ipairs({ ada, bob }) do
    c.expect({ event = "message", id = "m1", room = "lobby", user_id = "bob", text = "hello there" })
    c.quiet()
  end
  eve.quiet()
end)

test("who closes the page leaves", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff", payload = { joins = { bob = {} } } })
  bob.close()
  ada.expect({ event = "presence_diff", payload = { leaves = { bob = {} } } })
  ada.quiet()
end)

test("a second device is shown and makes no second user", function(t)
  local ada, desktop = enter(t, "ada"), enter(t, "bob", { more = "&device=desktop" })
  ada.await({ event = "presence_diff", payload = { joins = { bob = { metas = { { device = "desktop" } } } } } })
  local phone = enter(t, "bob", { more = "&device=phone" })
  local diff = ada.expect({ event = "presence_diff", payload = { joins = { bob = {} } } })
  t.equal(#diff.payload.joins.bob.metas, 2)
  t.equal(ws_presence_count("chat:lobby"), 2)
  desktop.close()
  diff = ada.expect({ event = "presence_diff", payload = { joins = { bob = { metas = { { device = "phone" } } } } } })
  t.equal(diff.payload.leaves, {})
  phone.close()
  ada.expect({ event = "presence_diff", payload = { leaves = { bob = {} } } })
end)

test("typing is told and not remembered", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff" })
  bob.send({ type = "typing", on = true })
  ada.expect({ event = "typing", user_id = "bob", on = true })
  enter(t, "eve").await({ event = "history", messages = json.array({}) })
end)

test("who does not go on typing has stopped", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff" })
  bob.send({ type = "typing", on = true })
  ada.expect({ event = "typing", user_id = "bob", on = true })
  t.advance(3000)
  bob.send({ type = "typing", on = true })
  ada.expect({ event = "typing", on = true })
  t.advance(4500)
  ada.quiet()
  t.advance(500)
  ada.expect({ event = "typing", user_id = "bob", on = false })
  bob.send({ type = "typing", on = true })
  bob.send({ type = "typing", on = false })
  ada.expect({ event = "typing", on = true })
  ada.expect({ event = "typing", on = false })
  bob.send({ type = "typing", on = true })
  bob.send({ type = "message", id = "1", text = "done" })
  ada.expect({ event = "typing", on = true })
  ada.expect({ event = "message", id = "1" })
  t.advance(5000)
  ada.quiet()
end)

test("away and a new name are told to all, and to who comes later", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff", payload = { joins = { bob = {} } } })
  bob.send({ type = "state", state = "away" })
  bob.send({ type = "name", name = "Robert", named_at = 5 })
  ada.expect({ event = "presence_diff", payload = { joins = { bob = { metas = { { state = "away", name = "Robert" } } } } } })
  enter(t, "eve").expect({ event = "presence_state", payload = { bob = { metas = { { state = "away", name = "Robert" } } } } })
  bob.send({ type = "state", state = "asleep" }) -- there is no such state
  ada.await({ event = "presence_diff", payload = { joins = { eve = {} } } })
  ada.quiet()
end)

test("another room", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff" })
  bob.await({ event = "history" })
  bob.send({ type = "room", room = "random" })
  bob.await({ event = "presence_state", channel = "chat:random", payload = { bob = {} } })
  bob.await({ event = "history", room = "random" })
  ada.expect({ event = "presence_diff", channel = "chat:lobby", payload = { leaves = { bob = {} } } })
  ada.send({ type = "message", id = "1", text = "gone?" })
  bob.quiet()
  bob.send({ type = "room", room = "no room" })
  bob.quiet()
end)

test("a token decides who it is", function(t)
  local ada = enter(t, "eve", { token = { sub = "ada", preferred_username = "Ada" } })
  ada.expect({ event = "presence_state", payload = { ada = { metas = { { name = "Ada" } } }, eve = json.null } })
end)

test("what is no message of the chat does nothing", function(t)
  local ada = enter(t, "ada")
  ada.await({ event = "history" })
  for _, message in ipairs({ "text", "[]", "1", { type = "none" }, { type = "message" }, { type = "message", id = "1", text = "  " },
    { type = "message", id = "1", text = ("x"):rep(4001) } }) do
    ada.send(message)
  end
  ada.quiet()
end)

test("a message that is too long closes the connection", function(t)
  local ada = enter(t, "ada")
  ada.send(("x"):rep(16385))
  ada.closed(1009)
end)

test("who sends too fast is sent away, and others stay", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff", payload = { joins = { bob = {} } } })
  for _ = 1, 250 do
    if not pcall(bob.send, "flood") then
      break
    end
  end
  bob.closed(1008)
  ada.await({ event = "presence_diff", payload = { leaves = { bob = {} } } })
end)

test("a room remembers the last fifty messages for a week", function(t)
  local ada = enter(t, "ada")
  for i = 1, 55 do
    ada.send({ type = "message", id = tostring(i), text = "message " .. i })
    ada.await({ event = "message", n = i })
  end
  local history = enter(t, "bob").await({ event = "history" }).messages
  t.equal({ #history, history[1].n, history[50].n }, { 50, 6, 55 })
end)

test("the list over HTTP", function(t)
  enter(t, "ada")
  local answer = t.request("GET", "/rooms/lobby/users")
  t.equal({ answer.status, answer.body.room, #answer.body.users, answer.body.users[1].user_id }, { 200, "lobby", 1, "ada" })
  t.equal(t.request("GET", "/rooms/no%20room/users").status, 404)
end)
