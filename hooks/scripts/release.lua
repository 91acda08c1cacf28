-- Gives back what a node that ends has claimed.
-- ARGV    1 process  2 number of parts
for part = 0, tonumber(ARGV[2]) - 1 do
  if holder(part) == ARGV[1] then redis.call('HDEL', claims, part) end
end
if holder('sync') == ARGV[1] then redis.call('HDEL', claims, 'sync') end
redis.call('ZREM', nodes, ARGV[1])
redis.call('HDEL', marks, ARGV[1])
return 1
