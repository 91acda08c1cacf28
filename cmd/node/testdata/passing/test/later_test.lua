test("a timer comes at its time", function(t)
  local c = t.connect("/ws/later")
  c.send({ { name = "long", ms = 600000 }, { name = "short", ms = 5000, data = { 1, json.null, "x" } } })
  t.advance(4900)
  c.quiet(99)
  t.advance(1)
  c.expect({ timer = "short", data = { 1, json.null, "x" } })
  t.advance(595000)
  c.await({ timer = "long" }) -- behind the ticks of the job
end)

test("timers are replaced, taken back, and end with their connection", function(t)
  local c, gone = t.connect("/ws/later"), t.connect("/ws/later")
  gone.send({ name = "never", ms = 1000 })
  gone.close()
  c.send({ { name = "a", ms = 1000, data = 1 }, { name = "b", ms = 1000 } })
  c.send({ { name = "a", ms = 2000, data = 2 }, { name = "b", cancel = true } })
  t.advance(1500)
  c.quiet()
  t.advance(500)
  c.expect({ timer = "a", data = 2 })
  c.quiet()
end)

test("a timer that sets itself again comes ten times a second", function(t)
  local c = t.connect("/ws/later")
  c.send({ name = "again", ms = 100 })
  t.advance(2000)
  for _ = 1, 20 do
    c.expect({ timer = "again" })
  end
  c.quiet(99)
end)

-- The job of the app has a period of a minute, and cases begin at the full hour.
test("a job comes once a minute, whatever nodes there are", function(t)
  t.nodes(3)
  local c = t.connect("/ws/later", { node = 3 })
  for minute = 1, 6 do
    if minute == 3 then
      t.kill(1)
    elseif minute == 5 then
      t.kill(2)
    end
    t.advance(60000 - t.now() % 60000)
    local tick = c.expect({ runs = minute })
    t.equal(math.floor(tick.tick / 60000), math.floor(t.now() / 60000))
    c.quiet()
  end
end)
