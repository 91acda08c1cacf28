Tables of the host that go where they cannot be followed may get fields there.

-- file room
local lib = require("lib")
function handler(event)
  lib.decorate(event)
  print(event.room, event.rom) --> event has no field "rom": there are message, query, state, type, user
  return { join = event.room }
end

-- file lib
local lib = {}
function lib.decorate(e)
  e.room = "x"
end
return lib
