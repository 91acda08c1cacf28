tset("who says hello", function(t)
  t.connect("/ws/lobby")
end)
