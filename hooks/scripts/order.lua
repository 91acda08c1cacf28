-- Asks for a synchronisation, also of a hook that is paused.
-- ARGV    1 command that publishes  2 topic  3 payload
-- RETURNS 1
redis.call('HDEL', hook, 'synced', 'syncing', 'paused')
redis.call(ARGV[1], ARGV[2], ARGV[3])
return 1
