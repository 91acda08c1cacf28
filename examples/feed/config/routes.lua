-- The last 100 news of a topic, each for an hour.
history("feed:*", { size = 100, ttl = 3600 })

-- EventSource("/feed/sports"), or a WebSocket on the same path.
router_sse("/feed/:topic", "feed#open", { resume = true })
router_websocket("/feed/:topic", "feed#open", { resume = true })

-- Whoever reaches the node can publish. In production: { api_key = "publish" }.
router_post("/feed/:topic", "feed#publish")
