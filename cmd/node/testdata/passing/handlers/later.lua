-- A message is what after is to have. The job tells its channel, and counts its runs.
function connection(event)
  if event.type == "connect" then
    return { join = "ticks" }
  elseif event.type == "message" then
    return { after = json.decode(event.message) }
  elseif event.type == "timer" then
    local again = event.name == "again" and { name = "again", ms = 100 } or nil
    return { send = { timer = event.name, data = event.data }, after = again }
  end
end

function tick(event)
  return { broadcast_channel = { channel = "ticks", message = { tick = event.at, runs = store.incr("runs") } } }
end
