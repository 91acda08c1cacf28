solidb.ws.send_binary("\0\1")
while solidb.ws.recv() do end
