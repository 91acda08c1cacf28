-- Notes that an incarnation has presence in a channel; stands before the first entry there, so that a reaper finds it.
-- KEYS    1 nodes  2 channels of the incarnation
-- ARGV    1 incarnation  2 channel
-- RETURNS 1, or 0 when the incarnation has been declared dead
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('SADD', KEYS[2], ARGV[2])
return 1
