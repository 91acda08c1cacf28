-- Which path is served by which function: "room#connection" is the function connection of handlers/room.lua.
-- Files of public/ and scripts/ need no line here.
router_websocket("/ws/room/:room", "room#connection", { max_message = 4096 })
