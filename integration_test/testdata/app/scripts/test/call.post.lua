return require("lib.functions").call(request.body)
