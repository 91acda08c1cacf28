-- Notes that the sink did not acknowledge a request.
-- ARGV    1 process  2 part, or 'sync'  3 round  4 what went wrong  5 '1': the sink wants no more, all pause
--         6 command that publishes  7 topic  8 payload
-- RETURNS 1, or 0: the claim, or the round, is over
if not may(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
redis.call('HSET', hook, 'failed_at', whole(now()), 'last_error', ARGV[4])
if ARGV[5] == '1' then
  redis.call('HSET', hook, 'paused', whole(now()))
  redis.call(ARGV[6], ARGV[7], ARGV[8])
end
return 1
