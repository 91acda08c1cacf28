-- Each route is one room. The first frame says that the client is in.

-- What a message costs at least.
function plain(event)
  if event.type == "connect" then
    return { join = event.params.channel, send = "in" }
  elseif event.type == "message" then
    return { broadcast_room = event.message }
  end
end

-- The same with presence; the state is the first frame.
function present(event)
  if event.type == "connect" then
    local channel = event.params.channel
    return { join = channel, track = { channel = channel, user_id = event.query.user } }
  elseif event.type == "message" then
    return { broadcast_room = event.message }
  end
end

-- A channel for each user.
function user(event)
  if event.type == "connect" then
    local channel = "user:" .. event.query.user
    return { join = channel, track = { channel = channel, user_id = event.query.user } }
  end
end

-- Nothing but an identity.
function identified(event)
  if event.type == "connect" then
    return { identify = event.query.user, send = "in" }
  end
end

-- One of so many users, each of whom sees the next ones and changes with each message.
function watcher(event)
  local function user(i) return string.format("user-%06d", i % event.query.of) end
  if event.type == "connect" then
    local friends = {}
    for i = 1, tonumber(event.query.friends) do
      friends[i] = "@" .. user(event.query.me + i)
    end
    return { identify = user(event.query.me), watch = friends, send = "in" }
  elseif event.type == "message" then
    return { set_presence = { channel = "@" .. user(event.query.me), said = event.message } }
  end
end

-- No channel at all.
function alone(event)
  return { send = "in" }
end

-- A handler that reads and writes JSON, as most do.
function json_room(event)
  if event.type == "connect" then
    return { join = event.params.channel, send = "in" }
  elseif event.type == "message" then
    local m = json.decode(event.message)
    return { broadcast_room = { event = "message", from = event.query.user, text = m.text } }
  end
end

-- A handler that keeps something for each connection.
function state(event)
  if event.type == "connect" then
    event.state.sent = 0
    return { join = event.params.channel, send = "in" }
  elseif event.type == "message" then
    event.state.sent = event.state.sent + 1
    return { broadcast_room = event.message }
  end
end

-- A handler that waits for another server.
function fetch(event)
  if event.type == "connect" then
    return { send = "in" }
  elseif event.type == "message" then
    local answer, why = http.fetch(event.message, { timeout = 10000 })
    return { send = why or answer.body }
  end
end

function echo(event)
  return { send = event.message or "in" }
end
