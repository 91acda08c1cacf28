-- A file of its own, beside load.lua.
function echo(event)
  return { send = event.message or "in" }
end
