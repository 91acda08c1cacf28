-- rollcall test examples/private

-- A token for the room green.
local function claims(user, more)
  local c = { sub = user, preferred_username = user:upper(), channels = { "room:green" } }
  for k, v in pairs(more or {}) do
    c[k] = v
  end
  return c
end

test("nobody comes in without a good token", function(t)
  t.equal(t.connect("/ws/room/green").status, 401)
  t.equal(t.connect("/ws/room/green", { token = "nonsense" }).status, 401)
  t.equal(t.connect("/ws/room/green", { token = claims("ada", { exp = os.time() - 3600 }) }).status, 401)
  t.equal(t.connect("/ws/room/green", { token = claims("ada") }).status, 101)
  t.equal(t.connect("/ws/room/green?token=" .. t.token(claims("bob"))).status, 101)
end)

test("the token says into which rooms", function(t)
  local c = t.connect("/ws/room/blue", { token = claims("ada") })
  t.equal(c.closed(4403):match("^[%w: ]+"), "join: channel ")
  t.equal(t.request("GET", "/rooms/green/users", { token = claims("ada") }).body.count, 0)
  t.connect("/ws/room/blue", { token = claims("ada", { channels = { "room:*" } }) }).await({ event = "welcome", user_id = "ada", name = "ADA" })
end)

test("the room talks", function(t)
  local ada, bob = t.connect("/ws/room/green", { token = claims("ada") }), t.connect("/ws/room/green", { token = claims("bob"), node = 2 })
  ada.await({ event = "presence_diff", payload = { joins = { bob = { metas = { { name = "BOB" } } } } } })
  bob.send("hello")
  ada.expect({ event = "said", user_id = "bob", name = "BOB", text = "hello" })
end)

test("a connection ends with its token", function(t)
  local ada = t.connect("/ws/room/green", { token = claims("ada", { exp = os.time() + 60 }) })
  t.advance(59 * 1000)
  ada.send("still here")
  ada.await({ event = "said" })
  t.advance(60 * 1000) -- clocks may differ a little
  ada.closed(4401)
end)

test("a client renews its token", function(t)
  local ada = t.connect("/ws/room/green", { token = claims("ada", { exp = os.time() + 60 }) })
  ada.await({ event = "welcome" })
  ada.send({ event = "token", token = t.token(claims("ada", { exp = os.time() + 3600 })) })
  ada.await({ event = "token" })
  t.advance(130 * 1000)
  ada.send("still here")
  ada.await({ event = "said" })
end)

test("a new token without the room takes the word away", function(t)
  local ada, bob = t.connect("/ws/room/green", { token = claims("ada") }), t.connect("/ws/room/green", { token = claims("bob") })
  bob.await({ event = "welcome" })
  ada.send({ event = "token", token = t.token(claims("ada", { channels = { "room:blue" } })) })
  ada.send("hello")
  ada.closed(4403)
  bob.await({ event = "presence_diff", payload = { leaves = { ada = {} } } })
end)

test("the list wants a token that allows the room", function(t)
  t.connect("/ws/room/green", { token = claims("ada") })
  t.equal(t.request("GET", "/rooms/green/users").status, 401)
  t.equal(t.request("GET", "/rooms/blue/users", { token = claims("bob") }).status, 403)
  local answer = t.request("GET", "/rooms/green/users", { token = claims("bob") })
  t.equal({ answer.status, answer.body.count, answer.body.users[1].user_id }, { 200, 1, "ada" })
end)
