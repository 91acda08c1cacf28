-- The same rooms as a connection script: each broadcast passes the VM of every member, and with presence each join and leave.
local channel, user = request.query.channel, request.query.user
solidb.ws.channel.subscribe(channel)
if request.query.present then
  solidb.ws.presence.join(channel, { user_id = user })
  local here = {}
  for _, c in ipairs(solidb.ws.presence.list(channel)) do
    here[c.user_info.user_id] = 1
  end
  solidb.ws.send({ joins = here })
else
  solidb.ws.send("in")
end
repeat
  local got, kind = solidb.ws.recv_any()
  if kind == "ws" then
    solidb.ws.channel.broadcast(channel, got)
  elseif kind == "channel" then
    solidb.ws.send(got.data)
  elseif kind == "presence" then
    solidb.ws.send({ [got.event_type .. "s"] = { [got.user_id] = 1 } })
  end
until got == nil
