-- "room:*": one event name for each thing that a scenario needs.

function connect(event)
  if event.query.user == "refused" then
    return { error = "no" } -- 403, before the upgrade
  end
end

-- The client's own fields of the join, which become its metadata.
local function meta(event, more)
  local m = { user_id = event.state.user }
  for k, v in pairs(event.state.meta) do m[k] = v end
  for k, v in pairs(more or {}) do m[k] = v end
  return m
end

local function join(event)
  local p = event.payload
  if p.deny then
    return { error = "denied" }
  elseif p.crash then
    error("crash in join")
  end
  event.state.user = p.user or "anon"
  event.state.meta = {}
  for k, v in pairs(p) do
    if k ~= "user" and k ~= "spectator" then event.state.meta[k] = v end
  end
  local answer = { reply = { joined = event.topic } }
  if p.spectator then answer.send_presence = true else answer.track = meta(event) end
  return answer
end

local on = {}
function on.echo(event) return { reply = event.payload } end
function on.fail() return { error = "no" } end
function on.silence() end
function on.say(event)
  return { broadcast_room = { event = "said", payload = { from = event.state.user, text = event.payload.text } }, reply = {} }
end
function on.say_others(event)
  return { broadcast_from = { event = "said", payload = { from = event.state.user, text = event.payload.text } }, reply = {} }
end
function on.poke(event) return { send = { event = "poked", payload = event.payload }, reply = {} } end
function on.set(event) return { set_presence = event.payload, reply = {} } end
function on.untrack() return { untrack = true, reply = {} } end
function on.track(event) return { track = meta(event, event.payload), reply = {} } end
function on.close_me() return { reply = {}, leave = true } end
function on.crash() error("crash in message") end

function room(event)
  if event.type == "join" then
    return join(event)
  elseif event.type == "message" and on[event.name] then
    return on[event.name](event)
  end
end

-- The plain client of the interop scenario.
function plain(event)
  local room = "room:" .. event.params.room
  if event.type == "connect" then
    return { join = room, track = { channel = room, user_id = event.query.user, device = event.query.device } }
  elseif event.type == "message" then
    return { broadcast_room = { channel = room, message = event.message } }
  end
end
