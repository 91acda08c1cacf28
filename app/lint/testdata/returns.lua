Keys of what handlers return.

-- file room
local function answer(x)
  if x then
    return { sned = x } --> unknown action "sned": did you mean "send"?
  end
  return { { join = x }, { jion = x } } --> unknown action "jion": did you mean "join"?
end
local function used(x)
  return { anything = x }
end
local function both(x)
  return { anything = x }
end
local function handed_on(x)
  return { anything = x }
end
local function through(x) return answer(x) end
function handler(event)
  local plain = { anything = 1 }
  local built = { join = "a", trak = {} } --> unknown action "trak": did you mean "track"?
  built.clos = "x" --> unknown action "clos": did you mean "close"?
  built.send = { anything = 1 }
  local list = {}
  list[#list + 1] = { send = 1, snd = 2 } --> unknown action "snd": did you mean "send"?
  table.insert(list, { cloze = 1 }) --> unknown action "cloze": did you mean "close"?
  local cleared = { temporary = 1 }
  cleared.temporary = nil
  local given = { anything = 1 }
  print(given)
  local function inner() return { anything = 1 } end
  if event.type == "a" then return built end
  if event.type == "b" then return list end
  if event.type == "c" then return cleared end
  if event.type == "d" then return given end
  if event.type == "e" then return through(event.message) end
  if event.type == "f" then return event.message and { sent = 1 } or { [event.type] = 1, ["join"] = 2, joyn = 3 } end --> unknown action "sent": did you mean "send"? & unknown action "joyn": did you mean "join"?
  if event.type == "g" then return both(1) end
  if event.type == "h" then return handed_on(1) end
  print(pcall(handed_on, 2))
  both(2).anything.x = plain.anything
  print(used(1).anything, inner())
  return { nothing = nil, send = { sned = 1 }, close = "x" }, { anything = 1 }
end
