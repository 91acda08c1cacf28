-- Which path is served by which function. "websocket#chat_handler" is the function chat_handler in
-- handlers/websocket.lua. Files of public/ are served too, without a line here.

-- The last 500 messages of a room, each for a week.
history("chat:*", { size = 500, ttl = 7 * 24 * 3600 })

-- presence = "devices": clients are also told when somebody opens a second device, not only of people who come and go.
-- resume: a page that comes back says where it was, and gets what it missed, or is told that this cannot be had.
-- max_message: nothing this chat sends is longer than 16 KiB; a longer message closes the connection (1009).
router_websocket("/ws/chat", "websocket#chat_handler", { presence = "devices", resume = true, max_message = 16384 })

router_get("/rooms/:room/users", "rooms#users")
