local names = {}

function names.channel(name)
  return "room:" .. string.trim(name)
end

return names
