-- Users listen here: /ws/notifications?user=ada
router_websocket("/ws/notifications", "notifications#listen")

-- Back ends post here. Whoever reaches the node can do it: in production, let only the back end's network reach this path,
-- or check a key in the handler (request.headers.authorization).
router_post("/notify/:user_id", "notifications#notify")
