-- Declares dead every incarnation whose deadline is more than the grace past. From then on its heartbeats are answered
-- "lost", and its writes were refused already since the deadline.
-- KEYS    1 nodes  2 reaping
-- ARGV    1 grace in ms
-- RETURNS all incarnations whose entries are still to be removed
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, inc in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%d', now - tonumber(ARGV[1])), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], inc)
  redis.call('ZADD', KEYS[2], now, inc)
end
return redis.call('ZRANGE', KEYS[2], 0, -1)
