-- GET /api/custom/_system/online: the same list for other programs.
local users = {}
for _, user in ipairs(ws_list_presence("online")) do
  users[#users + 1] = { id = user.user_id, name = user.metas[1].name, connections = #user.metas }
end
return { count = #users, users = json.array(users) }
