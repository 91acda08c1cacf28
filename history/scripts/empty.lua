-- Forgets the messages of one channel. Where it stands stays, and so does the stream, for its time to live.
-- KEYS    1 stream  2 where the channel stands
-- RETURNS how many messages went
local head = redis.call('GET', KEYS[2])
local at = head and string.match(head, '^(%d+%-%d+) ')
if at then redis.call('SET', KEYS[2], at, 'KEEPTTL') end
return redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)
