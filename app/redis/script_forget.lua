-- Removes the mark of a deletion that every node has seen long ago.
-- KEYS[1]  hash of scripts, see script_put.lua
-- ARGV[1]  field
-- ARGV[2]  the whole value it must still have
-- RETURNS  1 when removed
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
return redis.call('HDEL', KEYS[1], ARGV[1])
