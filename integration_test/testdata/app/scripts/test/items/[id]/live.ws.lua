solidb.ws.send("live " .. request.params.id)
