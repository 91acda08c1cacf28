-- Reads a whole hash, unless it is too long.
-- KEYS[1]  hash
-- ARGV[1]  how many bytes its fields and values may have together
-- RETURNS  fields and values in turn; 0 when it is too long
local left = tonumber(ARGV[1])
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  left = left - #field - redis.call('HSTRLEN', KEYS[1], field)
  if left < 0 then
    return 0
  end
end
return redis.call('HGETALL', KEYS[1])
