-- Ends an incarnation: after reaping, or when its node stops by itself. A stopping node whose channels are not all empty
-- is left to the reapers, who need not wait for its deadline then.
-- KEYS    1 nodes  2 reaping  3 info  4 channels of the incarnation
-- ARGV    1 incarnation  2 'forget', or 'retire': the node stops
-- RETURNS 1 when it was known
local n = redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] == 'retire' and redis.call('EXISTS', KEYS[4]) == 1 then
  redis.call('ZADD', KEYS[2], redis.call('TIME')[1] * 1000, ARGV[1])
  return n
end
n = n + redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4])
return math.min(n, 1)
