-- Ends a synchronisation.
-- ARGV    1 process  2 round  3 command that publishes  4 topic  5 payload
-- RETURNS 1, or 0: another node has begun anew
if not may(ARGV[1], 'sync', ARGV[2]) then return 0 end
redis.call('HSET', hook, 'synced', ARGV[2])
redis.call('HDEL', hook, 'syncing', 'unsynced')
redis.call('HDEL', claims, 'sync')
redis.call(ARGV[3], ARGV[4], ARGV[5])
return 1
