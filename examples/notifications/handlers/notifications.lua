-- A back end tells a user something: at once on all devices, or when the user comes back.

-- Every device of a user is in the user's own channel.
local function channel(user_id)
  return "user:" .. user_id
end

local function waiting(user_id)
  return "waiting:" .. user_id
end

function listen(event)
  if event.type ~= "connect" then
    return nil -- clients only listen
  end
  -- With tokens, the user is known: event.user.id. Without, we believe the query.
  local user_id = event.user.id or event.query.user
  if not user_id or user_id == "" or #user_id > 100 then
    return { close = { code = 4400, reason = "connect with ?user=…" } }
  end

  -- Join first, look for what waits then: nothing can fall between the two.
  ws_join(channel(user_id))
  local actions = {}
  for id, note in pairs(store.hgetall(waiting(user_id))) do
    -- Of two devices that connect at once only one gets true here, so each note is told once.
    if store.hdel(waiting(user_id), id) then
      actions[#actions + 1] = { send = note }
    end
  end
  return actions
end

-- POST /notify/:user_id with {"title": "…", "text": "…"}
function notify(request)
  local body = request.body
  if type(body) ~= "table" or type(body.title) ~= "string" then
    return { status = 422, body = { error = "send JSON with a title" } }
  end
  local user_id = request.params.user_id
  local note = { event = "notification", id = crypto.uuid(), title = body.title, text = body.text or "", at = os.time() }

  local devices = #ws_clients_in(channel(user_id))
  if devices > 0 then
    ws_broadcast_room(channel(user_id), note)
  else
    store.hset(waiting(user_id), note.id, note)
    store.expire(waiting(user_id), 7 * 24 * 3600 * 1000)
  end
  return { status = 202, body = { id = note.id, devices = devices } }
end
