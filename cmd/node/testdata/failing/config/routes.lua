router_websocket("/ws/echo", "echo#connection")
