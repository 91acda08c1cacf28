-- Appends the events of a request to a stream, once. Not after the claim's end by the clock of Redis: what was late on its way may have
-- been appended by another node, and more after it.
-- KEYS    1 stream  2 hash: part → id of its last request
-- ARGV    1 hook and part  2 id  3 ms of Redis when the claim ends  then events
-- RETURNS 1   0: the claim is over
local t = redis.call('TIME')
if t[1] * 1000 + math.floor(t[2] / 1000) >= tonumber(ARGV[3]) then return 0 end
if redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[2] then return 1 end
for i = 4, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i]) end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
