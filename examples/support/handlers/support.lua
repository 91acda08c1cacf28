-- A support desk. Each customer has one talk, with whichever agents are there: it is what is said in the customer's own
-- channel ("@ann"). Agents hear all talks in the channel "desk".

local function user_of(event)
  local user = event.user.id or event.query.user
  return user and user ~= "" and #user <= 100 and user or nil
end

local function refused()
  return { close = { code = 4400, reason = "connect with ?user=…" } }
end

-- The customers who came last, at most as many as a connection may watch. A real desk asks its database.
local function customers()
  local came = store.hgetall("customers")
  local ids = {}
  for id in pairs(came) do
    ids[#ids + 1] = id
  end
  table.sort(ids, function(a, b) return came[a] > came[b] end)
  for i = 501, #ids do
    ids[i] = nil
  end
  return ids
end

-- What the client wrote, or nil.
local function read(event)
  local ok, m = pcall(json.decode, event.message)
  if ok and type(m) == "table" then
    return m
  end
end

-- say tells the customer and the desk, and then the back end, which mails it to who is offline.
local function say(customer, from, text)
  if type(text) ~= "string" or text == "" or #text > 4000 then
    return { send = { event = "error", message = "send a text" } }
  end
  local n = store.incr("messages")
  local said = { event = "said", n = n, customer = customer, from = from, text = text, at = os.time() }
  ws_broadcast_room("@" .. customer, said)
  ws_broadcast_room("desk", said)
  if env("BACKEND") then
    local to = from == customer and "desk" or "@" .. customer
    local answer, why = http.fetch(env("BACKEND") .. "/said", { json = { to = to, text = text }, timeout = 2000 })
    if not answer or answer.status ~= 204 then
      log.warn("the back end was not told", { why = why, status = answer and answer.status })
    end
  end
end

-- Clients send {"text": "…"}.
function customer(event)
  if event.type == "connect" then
    local user = user_of(event)
    if not user then
      return refused()
    end
    event.state.user = user
    local new = not store.hget("customers", user)
    store.hset("customers", user, os.time())
    if new then -- agents ask for it, so it is in the store by now
      ws_broadcast_room("desk", { event = "customer", user = ws_user(user) }, { transient = true })
    end
    -- The page takes what came after last_seen for unread. The handler asks before identify, which makes it nil.
    return { identify = user, watch = "desk", send = { event = "welcome", me = ws_user(user) }, history = "@" .. user }
  elseif event.type == "message" then
    local m = read(event)
    return say(event.state.user, event.state.user, m and m.text)
  end
end

-- Clients send {"to": "ann", "text": "…"}, and {"watch": "ann"} to see her come and go and when she was last seen.
function agent(event)
  if event.type == "connect" then
    local user = user_of(event)
    if not user then
      return refused()
    end
    event.state.user = user
    local ids, watch = customers(), {}
    for i, id in ipairs(ids) do
      watch[i] = "@" .. id
    end
    return {
      identify = user,
      join = "desk",
      track = { channel = "desk", user_id = user },
      watch = watch,
      send = { event = "welcome", me = ws_user(user), customers = ws_users(ids) },
      history = { channel = "desk", limit = 1000 },
    }
  elseif event.type == "message" then
    local m = read(event) or {}
    if type(m.watch) == "string" and store.hget("customers", m.watch) then
      return { watch = "@" .. m.watch, send = { event = "customer", user = ws_user(m.watch) } }
    elseif type(m.to) == "string" and store.hget("customers", m.to) then
      return say(m.to, event.state.user, m.text)
    end
    return { send = { event = "error", message = "there is no such customer" } }
  end
end
