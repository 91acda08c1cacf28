-- rollcall test examples/chat

local function enter(t, user, options)
  options = options or {}
  local query = "room=" .. (options.room or "lobby") .. "&user=" .. user .. "&name=" .. user:upper() .. (options.more or "")
  return t.connect("/ws/chat?" .. query, { node = options.node, token = options.token })
end

-- What the page does at first: it asks for the newest messages.
local function newest(c)
  c.send({ type = "earlier", ask = 1 })
  return c.await({ event = "earlier", ask = 1 })
end

-- A frame of the room's channel, which says more than the handler's own part.
local function said(data, channel)
  return { event = "message", channel = channel or "chat:lobby", data = data }
end

test("who comes sees who is there and what was said", function(t)
  local ada = enter(t, "ada")
  ada.expect({ event = "joined", channel = "chat:lobby" })
  ada.expect({ event = "presence_state", channel = "chat:lobby", payload = { ada = { metas = { { name = "ADA", state = "online" } } } } })
  t.equal(newest(ada), { event = "earlier", ask = 1, messages = json.array({}), more = false })
  ada.send({ type = "message", id = "1", text = "hello" })
  local position = ada.expect(said({ event = "message", id = "1" })).position

  local bob = enter(t, "bob")
  bob.expect({ event = "joined", position = position })
  bob.expect({ event = "presence_state", payload = { ada = {}, bob = {} } })
  local page = newest(bob)
  t.equal({ #page.messages, page.messages[1].position, page.more }, { 1, position, false })
  t.equal(page.messages[1].data, { event = "message", id = "1", user_id = "ada", name = "ADA", text = "hello", at = os.time() })
  ada.expect({ event = "presence_diff", payload = { joins = { bob = {} } } })
end)

test("earlier messages come twenty at a time", function(t)
  local ada = enter(t, "ada")
  for i = 1, 45 do
    ws_broadcast_room("chat:lobby", { event = "message", id = tostring(i) })
  end
  local before, texts = nil, {}
  for ask = 1, 3 do
    ada.send({ type = "earlier", ask = ask, before = before })
    local page = ada.await({ event = "earlier", ask = ask })
    texts[ask] = { page.messages[1].data.id, page.messages[#page.messages].data.id, page.more }
    before = page.messages[1].position
  end
  t.equal(texts, { { "26", "45", true }, { "6", "25", true }, { "1", "5", false } })
  -- What is no position has nothing before it, and what is no text at all is answered too.
  for ask, wrong in ipairs({ "nonsense", 7 }) do
    ada.send({ type = "earlier", ask = ask, before = wrong })
    t.equal(#(ada.expect({ event = "earlier", ask = ask }).messages or {}), 0)
  end
end)

-- The page's address when it comes back: it was here.
local function back(channel, position)
  local positions = json.encode({ [channel] = position })
  return { more = "&resume=" .. crypto.base64_encode(positions):gsub("+", "-"):gsub("/", "_") }
end

test("who comes back gets what was missed, on another node too", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob", { node = 2 })
  local position = ada.expect({ event = "joined" }).position
  ada.drop()
  for i = 1, 3 do
    bob.send({ type = "message", id = tostring(i), text = "missed " .. i })
  end
  bob.send({ type = "typing", on = true })
  local more = back("chat:lobby", position)
  more.node = 2
  ada = enter(t, "ada", more)
  ada.expect({ event = "joined", recovered = true, missed = 3 })
  for i = 1, 3 do
    ada.expect(said({ text = "missed " .. i }))
  end
  ada.expect({ event = "presence_state" })
end)

test("who cannot get what was missed is told so, and can have the newest", function(t)
  local ada = enter(t, "ada")
  local position = ada.expect({ event = "joined" }).position
  ada.drop()
  for i = 1, 3 do
    ws_broadcast_room("chat:lobby", { event = "message", id = tostring(i) })
  end
  t.equal(t.request("DELETE", "/_api/channels/chat:lobby/history", { api_key = true }).status, 204)
  ws_broadcast_room("chat:lobby", { event = "message", id = "4" })
  ada = enter(t, "ada", back("chat:lobby", position))
  ada.expect({ event = "joined", recovered = false })
  ada.expect({ event = "presence_state" })
  local page = newest(ada)
  t.equal({ #page.messages, page.messages[1].data.id, page.more }, { 1, "4", false })
end)

test("a message reaches everybody in the room once, on every node", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob", { node = 2 })
  local eve = enter(t, "eve", { room = "random" })
  ada.await({ event = "presence_diff" })
  bob.await({ event = "presence_state" })
  eve.await({ event = "presence_state" })
  bob.send({ type = "message", id = "m1", text = "  hello\tthere  " })
  for _, c in ipairs({ ada, bob }) do
    c.expect(said({ event = "message", id = "m1", user_id = "bob", text = "hello there" }))
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
  ada.expect(said({ event = "typing", user_id = "bob", on = true }))
  t.equal(#newest(enter(t, "eve")).messages, 0)
end)

test("who does not go on typing has stopped", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff" })
  bob.send({ type = "typing", on = true })
  ada.expect(said({ event = "typing", user_id = "bob", on = true }))
  t.advance(3000)
  bob.send({ type = "typing", on = true })
  ada.expect(said({ event = "typing", on = true }))
  t.advance(4500)
  ada.quiet()
  t.advance(500)
  ada.expect(said({ event = "typing", user_id = "bob", on = false }))
  bob.send({ type = "typing", on = true })
  bob.send({ type = "typing", on = false })
  ada.expect(said({ event = "typing", on = true }))
  ada.expect(said({ event = "typing", on = false }))
  bob.send({ type = "typing", on = true })
  bob.send({ type = "message", id = "1", text = "done" })
  ada.expect(said({ event = "typing", on = true }))
  ada.expect(said({ event = "message", id = "1" }))
  t.advance(5000)
  ada.quiet()
end)

test("away and a new name are told to all, and to who comes later", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff", payload = { joins = { bob = {} } } })
  bob.send({ type = "state", state = "away" })
  bob.send({ type = "name", name = "Robert", named_at = 5 })
  ada.expect({ event = "presence_diff", payload = { joins = { bob = { metas = { { state = "away", name = "Robert" } } } } } })
  enter(t, "eve").await({ event = "presence_state", payload = { bob = { metas = { { state = "away", name = "Robert" } } } } })
  bob.send({ type = "state", state = "asleep" }) -- there is no such state
  ada.await({ event = "presence_diff", payload = { joins = { eve = {} } } })
  ada.quiet()
end)

test("another room", function(t)
  local ada, bob = enter(t, "ada"), enter(t, "bob")
  ada.await({ event = "presence_diff" })
  bob.await({ event = "presence_state" })
  bob.send({ type = "room", room = "random" })
  bob.expect({ event = "joined", channel = "chat:random" })
  bob.expect({ event = "presence_state", channel = "chat:random", payload = { bob = {} } })
  ada.expect({ event = "presence_diff", channel = "chat:lobby", payload = { leaves = { bob = {} } } })
  ada.send({ type = "message", id = "1", text = "gone?" })
  bob.quiet()
  bob.send({ type = "room", room = "no room" })
  bob.quiet()
end)

test("a token decides who it is", function(t)
  local ada = enter(t, "eve", { token = { sub = "ada", preferred_username = "Ada" } })
  ada.await({ event = "presence_state", payload = { ada = { metas = { { name = "Ada" } } }, eve = json.null } })
end)

test("what is no message of the chat does nothing", function(t)
  local ada = enter(t, "ada")
  ada.await({ event = "presence_state" })
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

test("the list over HTTP", function(t)
  enter(t, "ada")
  local answer = t.request("GET", "/rooms/lobby/users")
  t.equal({ answer.status, answer.body.room, #answer.body.users, answer.body.users[1].user_id }, { 200, "lobby", 1, "ada" })
  t.equal(t.request("GET", "/rooms/no%20room/users").status, 404)
end)
