-- Nobody comes in without a token, and the token's claim "channels" says into which rooms.
router_websocket("/ws/room/:room_id", "room#room_handler", { auth = true, permissions = "claims", token_renewal = true })

router_get("/rooms/:room_id/users", "room#users", { auth = true, permissions = "claims" })
