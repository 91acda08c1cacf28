function connection(event)
  if event.type == "connect" then
    return { join = "kept" }
  elseif event.type == "message" then
    return { broadcast_room = event.message }
  end
end
