return { id = request.params.id, method = request.method, socket = request.is_websocket }
