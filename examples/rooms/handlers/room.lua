-- Rooms with presence: who is in a room, and what everybody is doing there.
--
-- Connect to /ws/room/green?user=ada&name=Ada. What a client sends:
--   {"say": "hello"}          tells the room
--   {"status": "on a call"}   shows it beside the name, in everybody's list
--   {"status": null}          takes it away again

local function channel(params)
  return "room:" .. params.room_id
end

function room_handler(event)
  local room = channel(event.params)

  if event.type == "connect" then
    local user_id = event.user.id or event.query.user
    if not user_id then
      return { close = "who are you? connect with ?user=…" } -- refused: close code 4403
    end
    event.state.user_id = user_id
    return {
      join = room, -- broadcasts of the room reach this client
      -- This client is present in the room. All fields but channel and user_id are metadata that everybody sees.
      track = { channel = room, user_id = user_id, name = event.query.name or user_id },
    }
  end

  if event.type == "message" then
    local ok, message = pcall(json.decode, event.message)
    if not ok or type(message) ~= "table" then
      return { send = { event = "error", message = "send JSON" } }
    end
    if type(message.say) == "string" then
      return { broadcast_room = { event = "said", user_id = event.state.user_id, text = message.say } }
    end
    if message.status ~= nil then
      -- Merged into the metadata; the rest stays. json.null deletes the field.
      return { set_presence = { channel = room, status = message.status } }
    end
  end

  -- disconnect: the client leaves the room and its list by itself.
end

-- GET /rooms/:room_id/users
function users(request)
  local room = channel(request.params)
  return { count = ws_presence_count(room), users = ws_list_presence(room) }
end
