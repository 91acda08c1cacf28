Fields of the tables that the host gives.

-- file room
local function helper(ev, more)
  return ev.mesage, more.anything --> event has no field "mesage": did you mean "message"?
end
local function mixed(ev) return ev.anything end
local function passed_on(ev) return ev.anything end
local function deeper(ev) return helper(ev, {}) end
function global_helper(e) return e.usr end --> event has no field "usr": did you mean "user"?
local function named(user) return user.name end --> user has no field "name": there are id, username
local function never_called(ev) return ev.anything end
function handler(e)
  if e.typ == "connect" then --> event has no field "typ": did you mean "type"?
    return { send = e.params.x } --> event has no field "params": there are message, query, state, type, user
  end
  local event, user = e, e.user
  print(event.massage, user.nam, e.user.ID, event.state.anything, event.query.anything) --> event has no field "massage": did you mean "message"? & user has no field "nam": there are id, username & user has no field "ID": did you mean "id"?
  helper(e, {})
  global_helper(e)
  deeper(event)
  mixed(e)
  mixed({ anything = 1 })
  pcall(passed_on, e)
  named(e.user)
  local closure = function() return e.missing end --> event has no field "missing": there are message, query, state, type, user
  e.own = 1
  print(e.own)
  local other = e
  other = {}
  print(other.anything, e[e.type], closure)
  do
    local e = {}
    print(e.anything)
  end
  return nil
end

-- file elsewhere
function other(x) return x.anything end
