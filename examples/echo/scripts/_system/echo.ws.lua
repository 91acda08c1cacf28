-- Echo as a connection script: it runs from connect to disconnect of one client, and waits for what comes.

local ws = solidb.ws

ws.send("hello")
local count = 0
while true do
  local message, _, binary = ws.recv_any()
  if not message then
    return -- the client has gone
  end
  count = count + 1
  if binary then
    ws.send_binary(message)
  elseif message == "bye" then
    ws.close(1000, "bye")
  else
    ws.send("message " .. count .. ": " .. message)
  end
end
