router_websocket("/ws/room/:room", "room#connection")
router_websocket("/ws/members/:room", "room#connection", { auth = true, permissions = "claims" })
router_get("/who", "room#who")
router_post("/said", "room#said")
