function connection(event)
  if event.type == "message" then
    local m = json.decode(event.message)
    if m.fetch then
      if m.try then
        pcall(http.fetch, m.fetch)
      else
        http.fetch(m.fetch)
      end
      return { send = { asked = true } }
    end
    if m.close then
      return { close = { code = m.close, reason = "as asked" } }
    elseif m.raise then
      error("as asked")
    end
    return { send = m }
  end
end
