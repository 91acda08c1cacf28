-- Two of a name.
test("once", function(t) end)
test("once", function(t) end)
