local names = require("names")

-- Called with the event of room, so its parameter has the same fields.
local function said(e)
  return { broadcast_rom = { from = e.query.user, text = e.mesage } }
end

function room(event)
  local room = names.channel(event.param.room)
  if event.type == "connect" then
    return { join = rom, trak = { channel = room, user_id = event.user.name } }
  elseif event.type == "message" then
    solidb.ws.send("that is for connection scripts")
    return said(event)
  end
end

function users(request)
  return { count = ws_presense_count(names.channel(request.params.room)), via = request.header }
end
