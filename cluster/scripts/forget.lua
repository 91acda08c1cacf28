-- Ends an incarnation whose entries are all removed: after reaping, or when its node stops by itself.
-- KEYS    1 nodes  2 reaping  3 info  4 channels of the incarnation
-- ARGV    1 incarnation
-- RETURNS 1 when it was known
local n = redis.call('ZREM', KEYS[1], ARGV[1]) + redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4])
return math.min(n, 1)
