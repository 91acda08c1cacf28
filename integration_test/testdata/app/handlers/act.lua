-- Commands, as JSON: {"id":1,"actions":…} returns these actions, {"id":1,"call":"ws_count","args":[]} calls a function,
-- {"id":1,"event":true} tells the event, {"bad":"loop"} misbehaves, {"raw":…} is returned as it is, {"own":…} in tables that
-- the handler makes, {"require":"admin"} guards by a role, as the query does at connect.
-- In the query: first, last: actions of connect and disconnect; raise: connect raises; told: it tells event.resume.
local functions = require("lib.functions")
local bad = require("lib.bad")

-- $code and the like in a text become fields of the event.
local function fill(text, event)
  return (text:gsub("%$(%l+_?%l*)", function(name) return event[name] and tostring(event[name]) end))
end

local function with_reply(actions, id)
  local list = {}
  if #actions > 0 then
    for i, a in ipairs(actions) do
      list[i] = a
    end
  elseif next(actions) ~= nil then
    list[1] = actions
  end
  list[#list + 1] = { send = { reply = id } }
  return list
end

function act(event)
  if event.type == "connect" then
    functions.require(event.query.require)
    event.state.last = event.query.last
    if event.query.raise then
      error("connect raises")
    end
    if event.query.told then
      return { send = { resume = event.resume or json.null } }
    end
    return event.query.first and json.decode(fill(event.query.first, event)) or nil
  end
  if event.type == "disconnect" then
    return event.state.last and json.decode(fill(event.state.last, event)) or nil
  end
  if event.type == "timer" then
    return { send = { timer = event.name, data = event.data } }
  end
  if event.binary then
    return { send = { binary = true, size = #event.message } }
  end
  if event.message == "" then
    return { send = { empty = true } }
  end
  local command = json.decode(event.message)
  if command.call then
    return { send = functions.call(command) }
  end
  if command.event then
    event.state.events = (event.state.events or 0) + 1
    return { send = { reply = command.id, results = { event } } }
  end
  if command.bad then
    return bad[command.bad](event)
  end
  if command.require then
    functions.require(command.require)
    return { send = { reply = command.id, results = json.array({ true }) } }
  end
  if command.raw then
    return command.raw
  end
  if command.own then
    return functions.copy(command.own)
  end
  if command.lua_value == "function" then
    return { send = act }
  end
  return with_reply(command.actions, command.id)
end

function static(event)
  return { send = "static " .. event.params.who }
end
