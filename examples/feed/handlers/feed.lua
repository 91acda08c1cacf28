local function channel(params)
  return "feed:" .. params.topic
end

-- Clients only listen. Who comes back is given what it missed since the last event that it got.
function open(event)
  if event.type == "connect" then
    return { join = channel(event.params) }
  end
end

-- POST /feed/:topic with {"text": "…"}
function publish(request)
  local body = request.body
  if type(body) ~= "table" or type(body.text) ~= "string" or body.text == "" then
    return { status = 422, body = { error = "send JSON with a text" } }
  end
  ws_broadcast_room(channel(request.params), { text = body.text, at = os.time() })
  return { status = 202, body = { ok = true } }
end
