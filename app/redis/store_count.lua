-- Counts some keys of an app's store as they are now (store_size.lua).
-- KEYS    1 sizes  2 ttls  3 sum
-- ARGV    keys of the store
-- RETURNS 1
for _, key in ipairs(ARGV) do
  if redis.call('EXISTS', key) == 1 then
    note(key, measure(key))
    remember(key)
  else
    note(key)
  end
end
return 1
