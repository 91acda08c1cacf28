-- Takes or renews the lease of an incarnation and writes what the cluster may know of its node.
-- KEYS    1 nodes  2 info of the incarnation
-- ARGV    1 incarnation  2 ttl in ms  3 'register' or 'renew'  then pairs for the info
-- RETURNS the deadline in ms of the Redis clock, or 0: the incarnation was declared dead (or its lease was wiped)
if ARGV[3] == 'renew' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local t = redis.call('TIME')
local deadline = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], deadline, ARGV[1])
redis.call('HSET', KEYS[2], 'deadline', string.format('%d', deadline), unpack(ARGV, 4))
return deadline
