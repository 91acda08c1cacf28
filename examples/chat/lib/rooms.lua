-- What the handlers share about rooms. Use it with: local rooms = require("rooms")
-- (handlers/rooms.lua would be found first by that name, so this file is required as "lib.rooms".)

local rooms = {}

-- How many messages a room remembers, and for how long after the last one (a week, in ms).
rooms.KEPT = 50
rooms.KEPT_FOR = 7 * 24 * 3600 * 1000

-- The name of a room as clients write it, or nil when it is none: 1 to 40 letters, digits, "-" and "_".
function rooms.valid(name)
  if type(name) == "string" and #name <= 40 and name:find("^[%w_-]+$") then
    return name
  end
end

-- The channel of a room. The prefix keeps the chat's channels apart from those of other apps in the same cluster.
function rooms.channel(name)
  return "chat:" .. name
end

-- Remembers a message. A room's messages lie in one Redis hash with KEPT places: message n is written over message
-- n - KEPT. The number comes from store.incr, so two nodes that write at the same time never take the same place.
function rooms.remember(name, message)
  message.n = store.incr("count:" .. name)
  local key = "messages:" .. name
  store.hset(key, tostring(message.n % rooms.KEPT), message)
  store.expire(key, rooms.KEPT_FOR)
  return message
end

-- The remembered messages, oldest first.
function rooms.history(name)
  local list = {}
  for _, message in pairs(store.hgetall("messages:" .. name)) do
    list[#list + 1] = message
  end
  table.sort(list, function(a, b) return a.n < b.n end)
  return json.array(list) -- an empty list is [] for the page, not {}
end

return rooms
