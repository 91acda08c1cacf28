local functions = require("lib.functions")

function call(req)
  return functions.call(req.body)
end

function echo(req)
  return { request = req, global = request == req }
end

-- Answers of each form.
function answer(req)
  local kind = req.params.kind
  functions.require(req.query.require)
  if kind == "string" then return "text" end
  if kind == "table" then return { a = 1 } end
  if kind == "array" then return json.array({}) end
  if kind == "full" then return { status = 201, headers = { ["X-Made"] = "yes" }, body = { b = 2 } } end
  if kind == "more-keys" then return { status = 201, other = true } end
  if kind == "no-status" then return { status = 99 } end
  if kind == "nil" then return nil end
  if kind == "null" then return json.null end
  if kind == "raise" then error("on purpose") end
  if kind == "loop" then while true do end end
  if kind == "count" then return { count = store.incr("answers") } end
  if kind == "own-headers" then
    return { status = 200, headers = { Vary = "Accept-Encoding", ["Access-Control-Expose-Headers"] = "X-Made" }, body = "x" }
  end
  if kind == "function" then return { f = answer } end
end
