-- rollcall test examples/phoenix
-- The frames are those of phoenix.js: [join_ref, ref, topic, event, payload].

local function join(t, name, options)
  local c = t.connect("/socket/websocket?vsn=2.0.0", options)
  c.send({ "1", "1", "room:green", "phx_join", { name = name } })
  c.expect({ "1", "1", "room:green", "phx_reply", { status = "ok", response = { room = "green" } } })
  c.expect({ "1", json.null, "room:green", "presence_state", { [name] = {} } })
  return c
end

test("who comes, speaks and goes", function(t)
  local ada = join(t, "ada")
  local bob = join(t, "bob", { node = 2 })
  ada.expect({ "1", json.null, "room:green", "presence_diff", { joins = { bob = {} }, leaves = {} } })
  bob.send({ "1", "2", "room:green", "say", { text = "hello" } })
  ada.expect({ json.null, json.null, "room:green", "said", { from = "bob", text = "hello" } })
  bob.await({ "1", "2", "room:green", "phx_reply", { status = "ok" } })
  bob.send({ "1", "3", "room:green", "phx_leave", {} })
  ada.expect({ "1", json.null, "room:green", "presence_diff", { leaves = { bob = {} } } })
end)

test("who writes", function(t)
  local ada = join(t, "ada")
  ada.send({ "1", "2", "room:green", "writing", { on = true } })
  ada.expect({ "1", json.null, "room:green", "presence_diff", { joins = { ada = { metas = { { writing = true } } } } } })
end)

test("nobody joins without a name, or says nothing", function(t)
  local c = t.connect("/socket/websocket?vsn=2.0.0")
  c.send({ "1", "1", "room:green", "phx_join", {} })
  c.expect({ "1", "1", "room:green", "phx_reply", { status = "error", response = { reason = "a name has 1 to 40 bytes" } } })
  c.send({ "1", "2", "other", "phx_join", {} })
  c.expect({ "1", "2", "other", "phx_reply", { status = "error", response = { reason = "unmatched topic" } } })
  local ada = join(t, "ada")
  ada.send({ "1", "2", "room:green", "say", {} })
  ada.expect({ "1", "2", "room:green", "phx_reply", { status = "error", response = { reason = "say something" } } })
end)
