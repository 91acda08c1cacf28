-- A file may return its functions.
local M = {}

function M.from_table(req)
  return "from a table"
end

return M
