-- Rooms for those whose token allows them: a token with the claim channels = {"room:green"} opens the room green,
-- "room:*" all of them. Any message of a client is said to the room.

local function channel(params)
  return "room:" .. params.room_id
end

function room_handler(event)
  local room, user = channel(event.params), event.user

  if event.type == "connect" then
    -- A token that does not allow the room: all of this is refused, and the client closed with 4403.
    return {
      join = room,
      track = { channel = room, user_id = user.id, name = user.username },
      send = { event = "welcome", user_id = user.id, name = user.username },
    }
  end

  if event.type == "message" then
    -- The client may have renewed its token since. It keeps the rooms that it is in; here the new one counts.
    local allowed, why = ws_allowed(room)
    if not allowed then
      return { close = { code = 4403, reason = why } }
    end
    return { broadcast_room = { event = "said", user_id = user.id, name = user.username, text = event.message } }
  end
end

-- GET /rooms/:room_id/users, with a token that allows the room. Reading needs no permission: the handler asks for one.
function users(request)
  local room = channel(request.params)
  local allowed, why = ws_allowed(room)
  if not allowed then
    return { status = 403, body = { error = why } }
  end
  return { count = ws_presence_count(room), users = ws_list_presence(room) }
end
