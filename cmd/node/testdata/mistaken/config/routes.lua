router_websocket("/ws/:room", "room#romm")
router_websocket("/ws/other/:room", "room#room", { max_mesage = 100 })
router_get("/rooms/:room/users", "room#users")
router_get("/rooms", "rooms#list")
