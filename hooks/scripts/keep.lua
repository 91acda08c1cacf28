-- Keeps a request before it is sent.
-- ARGV    1 process  2 part  3 round  4 marks that this node has made  5 the request: its id, a line feed, the rest
-- RETURNS marks of this process, of which this is one; 0: the claim, or the round, is over
if not may(ARGV[1], ARGV[2], ARGV[3]) or forgotten(ARGV[1], ARGV[4]) then return 0 end
redis.call('SET', key('request', ARGV[2]), ARGV[5])
return redis.call('HINCRBY', marks, ARGV[1], 1)
