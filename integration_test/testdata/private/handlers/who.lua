-- Says who the client is.
function socket(event)
  if event.type ~= "disconnect" then
    return { send = event.user.id }
  end
end

function page(req)
  return { id = req.user.id }
end
