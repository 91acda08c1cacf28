-- Who is online, as a connection script: ws://…/api/custom/_system/online?user=ada&name=Ada
--
-- The client gets {"event":"list","users":[…]} once, and then {"event":"join"|"leave"|"update","user":{…}}: one join
-- when a user's first connection enters anywhere in the cluster, one leave when the last one exits.

local ws, CHANNEL = solidb.ws, "online"

local me = {
  user_id = request.query.user, -- without one, each connection is a user of its own
  name = request.query.name or "Guest",
  since = os.time(),
}
ws.presence.join(CHANNEL, me)

-- presence.list has one entry for each connection; this list shows each user once. Events of this channel wait in the
-- queue meanwhile, so none is missed; some may be in the list already, which does no harm.
local users, seen = json.array({}), {}
for _, entry in ipairs(ws.presence.list(CHANNEL)) do
  local id = entry.user_info.user_id or entry.connection_id
  if not seen[id] then
    seen[id] = true
    users[#users + 1] = { id = id, name = entry.user_info.name }
  end
end
ws.send({ event = "list", you = me.user_id or ws.id, users = users })

while true do
  local message, kind = ws.recv_any()
  if kind == "closed" then
    return -- presence is cleaned up by itself
  elseif kind == "presence" then
    ws.send({ event = message.event_type, user = { id = message.user_id, name = message.user_info.name } })
  elseif #message <= 200 then
    -- What the client sends is its new name. Joining again replaces the metadata: an update for the others, no second join.
    me.name = message
    ws.presence.join(CHANNEL, me)
  end
end
