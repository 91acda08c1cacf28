local names = require("names")

function connection(event)
  local room = names.channel(event.params.room)
  if event.type == "connect" then
    local user = event.user.id or event.query.user
    if not user then
      return { close = "who are you?" }
    end
    seen = (seen or 0) + 1
    return { join = room, track = { channel = room, user_id = user }, send = { event = "welcome", seen = seen, from = event.remote_addr } }
  end
  if event.type == "message" then
    if event.binary then
      return { send = { event = "bytes", n = #event.message } }
    elseif event.message == "raise" then
      error("as it was told")
    elseif event.message == "loop" then
      while true do end
    end
    return { broadcast_room = { event = "said", text = event.message, at = os.time() } }
  end
end

function who(request)
  return { method = request.method, user = request.user, header = request.headers["x-test"] }
end

function said(request)
  ws_broadcast_room(names.channel("green"), { event = "posted", body = request.body })
  return { status = 202, headers = { ["X-Said"] = "yes" }, body = "done" }
end

function admins()
  solidb.auth.require_role("owner")
  return "in"
end

function asks(event)
  if event.type ~= "message" then
    return
  end
  local options = json.decode(event.message)
  local url = options.url
  options.url = nil
  local answer, why = http.fetch(url, options)
  return { send = answer or { why = why } }
end
