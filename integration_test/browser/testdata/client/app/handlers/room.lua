local node = require("lib.which") -- written by the test: which node this is

local function channel(params)
  return "room:" .. params.room
end

function room(event)
  local room, user = channel(event.params), event.query.user
  if event.type == "connect" then
    return { join = room, track = { channel = room, user_id = user }, send = { event = "hello", node = node } }
  elseif event.type == "message" then
    return { broadcast_room = { event = "said", from = user, text = event.message } }
  end
end

function private(event)
  if event.type == "connect" then
    return { send = { event = "hello", node = node } }
  end
end

function raise()
  error("nobody comes in")
end

function users(request)
  return { users = ws_list_presence(channel(request.params)) }
end
