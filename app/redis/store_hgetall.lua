-- Reads a whole hash, unless it is too long.
-- KEYS[1]  hash
-- ARGV[1]  how many bytes its fields and values may have together
-- RETURNS  fields and values in turn; the number of bytes when it is too long
local all, bytes = redis.call('HGETALL', KEYS[1]), 0
for _, text in ipairs(all) do
  bytes = bytes + #text
end
if bytes > tonumber(ARGV[1]) then
  return bytes
end
return all
