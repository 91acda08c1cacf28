hook("story", { channels = { "hooked:*" }, stream = "story" })
