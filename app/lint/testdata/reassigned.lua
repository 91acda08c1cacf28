A parameter that is assigned is no table of the host any more.

-- file room
local function meta(event)
  setmetatable(event, {})
end
function handler(event)
  event = event or {}
  event = require("x")(event)
  return { join = event.anything }
end
