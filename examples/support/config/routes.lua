-- Customers come here with ?user=ann, agents with ?user=eve; with tokens, those say who it is.
-- In production agents need a token ({ auth = true }), and a role that the handler asks for.
router_websocket("/ws/customer", "support#customer")
router_websocket("/ws/agent", "support#agent")

-- What was said: to each customer, and of all customers to the desk. Both for a week.
history("@*", { size = 100, ttl = 7 * 24 * 3600 })
history("desk", { size = 1000, ttl = 7 * 24 * 3600 })
