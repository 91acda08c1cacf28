-- Who is in the channel hears of each run.
function tick(event)
  return { broadcast_channel = { channel = "job " .. event.name, message = event } }
end
