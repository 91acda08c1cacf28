-- The handlers of clients of Phoenix: what a message's payload says under "returns" they return.

function connect(event)
  local q = event.query
  if q.refuse == "error" then return { error = "not you" } end
  if q.refuse == "close" then return { close = "not you" } end
  if q.refuse == "raise" then error("not you") end
  if q.refuse == "wrong" then return json.decode('{"send":"nobody is there"}') end
  event.state.who = q.who
end

function topic(event)
  local p, s = event.payload, event.state
  if event.type == "leave" then
    return s.fate and { broadcast_channel = { channel = s.fate, message =
      { left = event.topic, reason = event.reason, code = event.code, text = event.reason_text } } }
  elseif event.type == "timer" then
    return { send = { event = "timer", payload = { name = event.name, data = event.data, topic = event.topic } } }
  elseif event.binary then
    return { reply = p }
  elseif event.name == "tell" then
    return { reply = { topic = event.topic, rest = event.rest, payload = p, state = s, type = event.type,
      name = event.name, path = event.path, query = event.query } }
  elseif type(p) == "table" then
    for k, v in pairs(p.state or {}) do s[k] = v end
    if p.raise then error("as it was told") end
    if p.spin then while true do end end
    if p.call then return { reply = tostring(select(2, pcall(_G[p.call], event.topic))) } end
    return p.returns
  end
end
