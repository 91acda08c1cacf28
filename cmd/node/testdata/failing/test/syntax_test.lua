test("never", function(t) end
