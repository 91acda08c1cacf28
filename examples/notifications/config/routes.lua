-- Users listen here: /ws/notifications?user=ada
router_websocket("/ws/notifications", "notifications#listen")

-- Back ends post here. Whoever reaches the node can do it: in production put { auth = true } behind it and check
-- request.user.roles in the handler, or let only the back end's network reach this path.
router_post("/notify/:user_id", "notifications#notify")
