-- Clients of Phoenix connect to /socket; phoenix.js puts /websocket behind it.
router_channel("/socket", "room:*", "room#room")
