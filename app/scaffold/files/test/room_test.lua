-- rollcall test runs this: nodes, Redis and clients in one process, and a time that only the tests let pass.

test("all in a room hear what one says", function(t)
  local ada = t.connect("/ws/room/lobby?name=Ada")
  local bob = t.connect("/ws/room/lobby?name=Bob", { node = 2 })
  ada.await({ event = "presence_diff", payload = { joins = { Bob = {} } } })
  bob.send("hello")
  ada.expect({ event = "said", from = "Bob", text = "hello" })
  bob.await({ event = "said", from = "Bob", text = "hello" })
end)

test("who has no name is refused", function(t)
  t.connect("/ws/room/lobby").closed(4403)
end)

test("the script tells how many are there", function(t)
  local looker = t.connect("/api/custom/demo/online?room=lobby")
  looker.expect({ event = "online", count = 0 })
  local ada = t.connect("/ws/room/lobby?name=Ada")
  looker.expect({ event = "online", count = 1 })
  ada.close()
  looker.expect({ event = "online", count = 0 })
end)
