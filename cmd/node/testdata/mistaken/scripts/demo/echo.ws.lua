local ws = solidb.ws
while true do
  local message = ws.recieve_any()
  if not message then break end
  ws.channel.brodcast("room:lobby", json.encode_all(message))
end
