-- How many people are in a room, for those who only look: /api/custom/demo/online?room=lobby
-- This is the other kind of handler: it runs for as long as its connection, and waits for what comes.

local ws = solidb.ws
local room = "room:" .. (request.query.room or "lobby")

ws.channel.subscribe(room) -- who comes and goes is told with it
while true do
  ws.send({ event = "online", count = ws_presence_count(room) })
  local message, kind
  repeat
    message, kind = ws.recv_any()
  until kind == "presence" or kind == "closed"
  if not message then
    return -- the client has gone
  end
end
