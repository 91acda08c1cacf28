-- The topics "room:*": whoever joins is present, says something, and shows whether he or she is writing.

function room(event)
  if event.type == "join" then
    local name = event.payload.name
    if type(name) ~= "string" or name == "" or #name > 40 then
      return { error = "a name has 1 to 40 bytes" }
    end
    event.state.name = name
    return { reply = { room = event.rest }, track = { user_id = name } }
  elseif event.name == "say" then
    local text = event.payload.text
    if type(text) ~= "string" or text == "" then
      return { error = "say something" }
    end
    return { broadcast_room = { event = "said", payload = { from = event.state.name, text = text } }, reply = {} }
  elseif event.name == "writing" then
    return { set_presence = { writing = event.payload.on == true } }
  end
end
