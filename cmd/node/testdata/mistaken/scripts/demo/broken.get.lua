return { users = ws_clients( }
