Members of library tables.

-- file room
local w = ws
local send, again = ws.send, ws
again = nil
function handler(event)
  ws.sned("x") --> there is no ws.sned: did you mean "ws.send"?
  w.recieve() --> there is no ws.recieve: there are channel, id, recv, recv_any, send
  w.channel.subscrbe("a") --> there is no ws.channel.subscrbe: did you mean "ws.channel.subscribe"? & there is no ws.channel in handlers of this kind
  if w.id then print(w.id) end
  print(w.id, w.id.anything, again.anything, env.whatever, ws[event.type])
  string.gfind("a", "b") --> there is no string.gfind: did you mean "string.find"?
  print(string.rep, table.foreach, ("x").anything) --> there is no table.foreach: there are concat, getn, insert, maxn, pack, remove, sort, unpack
  if ws.unheard_of then ws.unheard_of() end
  local other = ws.also_unheard_of or ws.send
  local known = ws.send or ws.nowhere
  ws.new = 1
  if ws.sendd then print(1) end --> there is no ws.sendd: did you mean "ws.send"?
  ws:sand("x") --> there is no ws.sand: did you mean "ws.send"?
  local ws = {}
  ws.sned()
  return nil
end
function shadowed(ws, json) return ws.sned, json.anything end
function reassigned()
  local j = json
  if shared then j = {} end
  return j.anything
end

-- file own
shared = true
math = { mine = true }
print(math.mine, math.yours)
