-- An app that lets nobody in without a token.
router_websocket("/ws/private", "who#socket", { auth = true, token_renewal = true })
router_get("/private", "who#page", { auth = true })
router_get("/open", "who#page")
