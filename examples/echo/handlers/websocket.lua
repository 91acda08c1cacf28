-- Echo as an event handler: one call for each event, and what it returns is what shall be done.

function echo(event)
  if event.type == "connect" then
    event.state.count = 0 -- event.state is this connection's own, and is there again at the next event
    return { send = "hello" }
  end
  if event.type == "message" then
    event.state.count = event.state.count + 1
    if event.binary then
      return { send = "message " .. event.state.count .. ": " .. #event.message .. " binary bytes" }
    end
    if event.message == "bye" then
      return { close = "bye" }
    end
    return { send = "message " .. event.state.count .. ": " .. event.message }
  end
  -- "disconnect": there is nobody to send to any more.
end
