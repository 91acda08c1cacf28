A table of the host that is given any field.

-- file room
function handler(event)
  for k, v in pairs({}) do event[k] = v end
  return { join = event.anything }
end
