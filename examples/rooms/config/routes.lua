-- :room_id is a parameter: the handler finds it in event.params.room_id.
router_websocket("/ws/room/:room_id", "room#room_handler")

router_get("/rooms/:room_id/users", "room#users")
