router_websocket("/ws/room/:room", "room#room")
router_websocket("/ws/private", "room#private", { auth = true })
router_websocket("/ws/raise", "room#raise")
router_get("/rooms/:room/users", "room#users")
