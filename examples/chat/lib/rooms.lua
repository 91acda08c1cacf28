-- What the handlers share about rooms. Use it with: local rooms = require("rooms")
-- (handlers/rooms.lua would be found first by that name, so this file is required as "lib.rooms".)

local rooms = {}

-- The name of a room as clients write it, or nil when it is none: 1 to 40 letters, digits, "-" and "_".
function rooms.valid(name)
  if type(name) == "string" and #name <= 40 and name:find("^[%w_-]+$") then
    return name
  end
end

-- The channel of a room. The prefix keeps the chat's channels apart from those of other apps in the same cluster, and
-- config/routes.lua gives those that begin with it a history.
function rooms.channel(name)
  return "chat:" .. name
end

return rooms
