-- Publishes messages on one topic, unless that was done before.
-- KEYS    1 mark of the call and the topic, in the topic's slot
-- ARGV    1 how long the mark stays, in ms  2 topic  3… payloads
-- RETURNS 1 published, 0 published before
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
for i = 3, #ARGV do redis.call('PUBLISH', ARGV[2], ARGV[i]) end
return 1
