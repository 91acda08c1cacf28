-- A room: who is there, and what they say. Each event of a connection comes here, and what is returned is done.

---@param event rollcall.Event
---@return rollcall.Actions?
function connection(event)
  local room = "room:" .. event.params.room

  if event.type == "connect" then
    local name = event.query.name
    if not name or name == "" or #name > 40 then
      return { close = "connect with ?name=…" } -- refused: the client is closed with 4403
    end
    event.state.name = name -- kept for this connection: its next events find it there
    return {
      join = room, -- what is said in the room reaches this client
      track = { channel = room, user_id = name }, -- and all who are there are told who comes and goes
    }
  end

  if event.type == "message" then
    return { broadcast_room = { event = "said", from = event.state.name, text = event.message } }
  end

  -- "disconnect": nothing to do. The client leaves the room and its list by itself.
end
