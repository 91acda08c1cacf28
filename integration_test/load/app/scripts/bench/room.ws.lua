-- The same rooms as a connection script: each broadcast passes the VM of every member.
local channel, user = request.query.channel, request.query.user
solidb.ws.channel.subscribe(channel)
if request.query.present then
  solidb.ws.presence.join(channel, { user_id = user })
end
solidb.ws.send("in")
repeat
  local got, kind = solidb.ws.recv_any()
  if kind == "ws" then
    solidb.ws.channel.broadcast(channel, got)
  elseif kind == "channel" then
    solidb.ws.send(got.data)
  end
until got == nil
