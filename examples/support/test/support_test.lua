-- rollcall test examples/support

local function customer(t, user, node)
  return t.connect("/ws/customer?user=" .. user, { node = node })
end

local function agent(t, user, node)
  return t.connect("/ws/agent?user=" .. user, { node = node })
end

test("agents see customers come and go, on any node, and when they were last seen", function(t)
  local ann = customer(t, "ann")
  ann.await({ event = "history" })
  local eve = agent(t, "eve", 2)
  eve.await({ event = "welcome", customers = { { user_id = "ann", online = true } } })
  customer(t, "bob")
  eve.await({ event = "customer", user = { user_id = "bob", online = false } })
  eve.send({ watch = "bob" })
  eve.await({ event = "presence_state", channel = "@bob", payload = { bob = {} } })
  ann.close()
  eve.await({ event = "presence_diff", channel = "@ann", payload = { leaves = { ann = {} } } })
  eve.send({ watch = "ann" })
  local seen = eve.await({ event = "customer", user = { user_id = "ann", online = false } }).user.last_seen
  t.equal(seen > t.now() - 1000 and seen <= t.now(), true)
  customer(t, "ann", 2)
  eve.await({ event = "presence_diff", channel = "@ann", payload = { joins = { ann = {} } } })
end)

test("customers see whether somebody is at the desk, and hear nothing of others", function(t)
  local ann, bob = customer(t, "ann"), customer(t, "bob")
  ann.await({ event = "presence_state", channel = "desk", payload = {} })
  ann.await({ event = "history" })
  bob.await({ event = "history" })
  local eve = agent(t, "eve")
  ann.expect({ event = "presence_diff", channel = "desk", payload = { joins = { eve = {} } } })
  bob.await({ event = "presence_diff" })
  eve.await({ event = "history" })
  bob.send({ text = "hello" })
  bob.expect({ event = "said", customer = "bob", from = "bob", text = "hello" })
  eve.await({ event = "said", customer = "bob", text = "hello" })
  eve.send({ to = "bob", text = "good morning" })
  bob.expect({ event = "said", customer = "bob", from = "eve", text = "good morning" })
  eve.expect({ event = "said", from = "eve" })
  ann.quiet()
end)

test("what is written to who is offline is unread on return, once", function(t)
  local ann, eve = customer(t, "ann"), agent(t, "eve")
  eve.await({ event = "history" })
  eve.send({ to = "ann", text = "one" })
  ann.await({ event = "said", text = "one" })
  ann.close()
  eve.await({ event = "presence_diff", channel = "@ann" })
  t.advance(60 * 1000)
  eve.send({ to = "ann", text = "two" })
  t.advance(60 * 1000)

  local function unread(c)
    local me, texts = c.await({ event = "welcome" }).me, {}
    for _, m in ipairs(c.await({ event = "history" }).messages) do
      if not me.online and m.timestamp > (me.last_seen or 0) then
        texts[#texts + 1] = m.data.text
      end
    end
    return texts
  end
  ann = customer(t, "ann", 2)
  t.equal(unread(ann), { "two" })
  t.equal(unread(customer(t, "ann")), {}) -- another device of hers
  eve.close()
  ann.await({ event = "presence_diff", channel = "desk", payload = { leaves = { eve = {} } } })
  t.advance(1000)
  ann.send({ text = "three" })
  ann.await({ event = "said", text = "three" })
  t.equal(unread(agent(t, "eve")), { "three" })
end)

test("what is no message, and who is nobody", function(t)
  customer(t, "").closed(4400)
  agent(t, "").closed(4400)
  local ann, eve = customer(t, "ann"), agent(t, "eve")
  ann.await({ event = "presence_diff" })
  eve.await({ event = "history" })
  for _, m in ipairs({ "text", "[]", { text = "" }, { text = 7 }, { text = ("x"):rep(4001) } }) do
    ann.send(m)
    ann.expect({ event = "error" })
  end
  for _, m in ipairs({ "text", { to = "nobody", text = "hello" }, { watch = "nobody" }, { to = "ann" } }) do
    eve.send(m)
    eve.expect({ event = "error" })
  end
  ann.quiet()
end)
