-- The same rooms for clients of Phoenix. The reply says that the client is in.

function topic(event)
  if event.type == "join" then
    return { track = event.payload.present and { user_id = event.payload.user } or nil }
  elseif event.type == "message" then
    return { broadcast_room = { event = "said", payload = event.payload } }
  end
end
