-- The back end is told which users are online, and which agents are at the desk. Without one the app does without.
if env("BACKEND") then
  hook("support", {
    channels = { "@*", "desk" },
    url = env("BACKEND") .. "/presence",
    secret = env("HOOK_SECRET"),
  })
end
