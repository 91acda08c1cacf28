-- The app that the clients talk to.
router_socket("/socket", "rooms#connect")
router_channel("/socket", "room:*", "rooms#room")
router_channel("/socket", "realtime:*", "realtime#topic")
router_socket("/auth", nil, { auth = true })
router_channel("/auth", "room:*", "rooms#room", { permissions = "claims" })
router_websocket("/ws/room/:room", "rooms#plain", { presence = "devices" })
