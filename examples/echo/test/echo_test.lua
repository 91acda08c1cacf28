-- rollcall test examples/echo

-- The event handler and the connection script say the same.
for _, path in ipairs({ "/ws/echo", "/api/custom/_system/echo" }) do
  test("counts messages at " .. path, function(t)
    local c = t.connect(path)
    c.expect("hello")
    c.send("one")
    c.expect("message 1: one")
    c.send("two")
    c.expect("message 2: two")
    c.quiet()
  end)

  test("says goodbye at " .. path, function(t)
    local c = t.connect(path)
    c.send("bye")
    t.equal(c.closed(1000), "bye")
  end)
end

test("bytes", function(t)
  local handler, script = t.connect("/ws/echo"), t.connect("/api/custom/_system/echo")
  handler.expect("hello")
  handler.send("\0\1", "binary")
  handler.expect("message 1: 2 binary bytes")
  script.expect("hello")
  script.send("\0\1", "binary")
  local bytes, kind = script.expect("\0\1")
  t.equal(kind, "binary")
end)
