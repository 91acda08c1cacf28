-- What the answer to a request of a handler is.
local function ask(t, options)
  local c = t.connect("/ws/asks")
  c.send(options)
  return c
end

test("answers that are fixed", function(t)
  t.fetch("http://api/*", { status = 404 })
  t.fetch("http://api/json", { headers = { ["X-A"] = "1" }, json = { a = json.array({}) } })
  t.fetch("http://api/text", { status = 201, body = "text" })
  t.fetch("http://gone/", nil, "no connection")
  ask(t, { url = "http://api/other" }).expect({ status = 404, body = "" })
  ask(t, { url = "http://api/json" }).expect({ status = 200, body = '{"a":[]}',
    headers = { ["x-a"] = "1", ["content-type"] = "application/json" } })
  ask(t, { url = "http://api/text" }).expect({ status = 201, body = "text" })
  ask(t, { url = "http://gone/" }).expect({ why = "no connection" })
  t.fetch("http://api/text", { body = "later ones count" })
  ask(t, { url = "http://api/text" }).expect({ body = "later ones count" })
end)

test("a function answers, and sees the request", function(t)
  local seen = {}
  t.fetch("https://api/*", function(request)
    seen[#seen + 1] = request
    ws_broadcast_room("nobody", "functions of the node may be called")
    if #seen == 2 then
      return nil, "not twice"
    end
    return { json = { n = #seen } }
  end)
  local c = ask(t, { url = "https://api/a?b", method = "PUT", json = { 1, 2 }, headers = { authorization = "x" } })
  c.expect({ status = 200, body = '{"n":1}' })
  t.equal(seen[1].method .. " " .. seen[1].url, "PUT https://api/a?b")
  t.equal(seen[1].json, { 1, 2 })
  t.equal(seen[1].headers.authorization, "x")
  c.send({ url = "https://api/" })
  c.expect({ why = "not twice" })
end)

test("an answer takes its time, which is virtual", function(t)
  t.fetch("http://slow/", { delay = 4000, body = "at last" })
  t.fetch("http://slower/", { delay = 60 * 1000 })
  local c = ask(t, { url = "http://slow/" })
  c.quiet(3900)
  c.expect({ body = "at last" })
  local began = t.now()
  c.send({ url = "http://slower/" })
  t.advance(4900)
  c.quiet(50)
  t.advance(50)
  c.expect({ why = "timeout" })
  t.equal(t.now() - began, 5000)
  c.send({ url = "http://slow/", timeout = 100 })
  t.advance(100)
  c.expect({ why = "timeout" })
end)

test("the test itself may ask, and no node makes a real request", function(t)
  t.fetch("http://127.0.0.1:1/", { body = "stub" })
  t.equal(http.fetch("http://127.0.0.1:1/").body, "stub")
  t.fetch("http://f/", function() return {} end)
  local ok, why = pcall(http.fetch, "http://f/")
  t.equal(ok, false)
  assert(why:find("the test itself asks: give a table", 1, true), why)
  for _, wrong in ipairs({ { status = 99 }, { status = "200" }, { delay = -1 }, { body = 1 }, { headers = 1 }, { text = "" } }) do
    assert(not pcall(t.fetch, "http://x/", wrong))
  end
  assert(not pcall(t.fetch, "http://x/") and not pcall(t.fetch, nil, {}))
end)
