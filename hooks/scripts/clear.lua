-- Begins to synchronise: step by step all that was told is forgotten.
-- ARGV    1 process  2 number of parts  3 the round that begins  4 how many channels at most
-- RETURNS 1: all is forgotten, and the round has begun   0: not yet all   -1: another node has the claim
if holder('sync') ~= ARGV[1] or redis.call('HEXISTS', hook, 'synced') == 1 then return -1 end
for part = 0, tonumber(ARGV[2]) - 1 do
  if not empty(part, tonumber(ARGV[4])) then return 0 end
  drop(part)
end
redis.call('HSET', hook, 'syncing', ARGV[3])
return 1
