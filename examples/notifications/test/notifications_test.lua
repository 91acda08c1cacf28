-- rollcall test examples/notifications

local function notify(t, user, note, options)
  options = options or {}
  options.json = note
  return t.request("POST", "/notify/" .. user, options)
end

test("a note reaches all devices at once, and nobody else", function(t)
  local phone, desktop = t.connect("/ws/notifications?user=ada"), t.connect("/ws/notifications?user=ada", { node = 2 })
  local bob = t.connect("/ws/notifications?user=bob")
  local answer = notify(t, "ada", { title = "Lunch", text = "at noon" }, { node = 2 })
  t.equal({ answer.status, answer.body.devices }, { 202, 2 })
  for _, c in ipairs({ phone, desktop }) do
    c.expect({ event = "notification", id = answer.body.id, title = "Lunch", text = "at noon" })
  end
  bob.quiet()
end)

test("a note waits for who is away, and is told once", function(t)
  t.equal(notify(t, "ada", { title = "Lunch" }).body.devices, 0)
  t.advance(60 * 1000)
  local phone, desktop = t.connect("/ws/notifications?user=ada"), t.connect("/ws/notifications?user=ada")
  phone.expect({ event = "notification", title = "Lunch", text = "" })
  desktop.quiet()
end)

test("a note that nobody fetches is forgotten after a week", function(t)
  notify(t, "ada", { title = "Lunch" })
  store.expire("waiting:ada", 1000) -- as if the week were nearly over
  t.advance(1001)
  t.connect("/ws/notifications?user=ada").quiet()
end)

test("what is no note, and who is nobody", function(t)
  t.equal(notify(t, "ada", { text = "no title" }).status, 422)
  t.equal(t.request("POST", "/notify/ada", { body = "text" }).status, 422)
  t.connect("/ws/notifications").closed(4400)
end)
