-- Who is in the channel hears of each run, and the log has it.
function tick(event)
  log.info("job runs", { at = string.format("%d", event.at) })
  return { broadcast_channel = { channel = "job " .. event.name, message = event } }
end
