test("the app's own variables are there", function(t)
  t.equal(env("OF_TEST"), "hello")
  t.equal(env("NOT_SET"), nil)
end)
