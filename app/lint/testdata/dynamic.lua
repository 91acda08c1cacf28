Globals that are defined in ways that cannot be followed.

-- file room
function handler(event)
  return { join = anything_at_all, sned = 1 } --> unknown action "sned": did you mean "send"?
end

-- file definer
for _, name in ipairs({ "a", "b" }) do
  _G[name] = name
end
