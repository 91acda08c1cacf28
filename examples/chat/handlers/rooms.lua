-- GET /rooms/:room/users: who is in a room, for other programs.
--
--   curl http://localhost:6745/rooms/lobby/users

local rooms = require("lib.rooms")

function users(request)
  local room = rooms.valid(request.params.room)
  if not room then
    return { status = 404, body = { error = "there is no such room" } }
  end
  return { room = room, users = ws_list_presence(rooms.channel(room)) }
end
