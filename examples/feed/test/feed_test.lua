-- rollcall test examples/feed

local function publish(t, topic, text)
  return t.request("POST", "/feed/" .. topic, { json = { text = text } })
end

test("news reach who listens to the topic, on any node", function(t)
  local page, other = t.connect("/feed/sports", { node = 2 }), t.connect("/feed/weather")
  page.await({ event = "joined" })
  other.await({ event = "joined" })
  t.equal(publish(t, "sports", "1:0").status, 202)
  page.expect({ event = "message", channel = "feed:sports", data = { text = "1:0" } })
  other.quiet()
end)

test("who comes back gets what it missed", function(t)
  local page = t.connect("/feed/sports")
  local at = page.await({ event = "joined" }).position
  page.drop()
  publish(t, "sports", "1:0")
  publish(t, "sports", "2:0")
  local id = crypto.base64_encode(json.encode({ ["feed:sports"] = at })):gsub("+", "-"):gsub("/", "_")
  page = t.connect("/feed/sports?resume=" .. id)
  page.expect({ event = "joined", recovered = true, missed = 2 })
  page.expect({ data = { text = "1:0" } })
  page.expect({ data = { text = "2:0" } })
end)

test("what is no news", function(t)
  t.equal(t.request("POST", "/feed/sports", { json = { text = "" } }).status, 422)
  t.equal(t.request("POST", "/feed/sports", { body = "text" }).status, 422)
end)
