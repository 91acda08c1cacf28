-- Runs commands {"id":1,"call":"solidb.ws.send","args":["x"]} and tells what else it hears as {"type":…,"event":…}.
local functions = require("lib.functions")
functions.require(request.query.require)

while true do
  local msg, kind, binary = solidb.ws.recv_any()
  if msg == nil then
    return
  elseif kind ~= "ws" then
    solidb.ws.send({ type = kind, event = msg })
  elseif binary then
    solidb.ws.send({ binary = true, size = #msg })
  else
    local command = json.decode(msg)
    if command.bad then
      solidb.ws.send(require("lib.bad")[command.bad]().send)
    elseif command.require then
      functions.require(command.require)
      solidb.ws.send({ reply = command.id, results = { true } })
    elseif command.request then
      solidb.ws.send({ reply = command.id, results = { request } })
    else
      solidb.ws.send(functions.call(command))
    end
  end
end
