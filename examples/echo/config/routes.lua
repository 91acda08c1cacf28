-- /ws/echo is served by the function echo of handlers/websocket.lua.
-- The other variant, scripts/_system/echo.ws.lua, needs no line here: its path is /api/custom/_system/echo.
router_websocket("/ws/echo", "websocket#echo")
