-- Appends the events of a request to a stream, once. KEYS 1 stream  2 hash: part → id of its last request.
-- ARGV    1 hook and part  2 id  then events
-- RETURNS 1
if redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[2] then return 1 end
for i = 3, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i]) end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
