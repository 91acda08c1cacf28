router_websocket("/plain/:channel", "load#plain")
router_websocket("/present/:channel", "load#present")
router_websocket("/json/:channel", "load#json_room")
router_websocket("/state/:channel", "load#state")
