-- Publishes messages on one topic, unless that was done before.
-- KEYS    1 mark of the call and the topic, in the topic's slot
-- ARGV    1 how long the mark stays, in ms  2 command that publishes  3 topic  4… payloads
-- RETURNS 1 published, 0 published before
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
for i = 4, #ARGV do redis.call(ARGV[2], ARGV[3], ARGV[i]) end
return 1
