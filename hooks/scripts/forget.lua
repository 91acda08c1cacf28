-- Forgets a hook that no node has any more, step by step.
-- ARGV    1 number of parts  2 how many channels at most
-- RETURNS 1: all is forgotten   0: not yet all   -1: a node has it
if redis.call('ZCOUNT', nodes, now(), '+inf') > 0 then return -1 end
for part = 0, tonumber(ARGV[1]) - 1 do
  if not empty(part, tonumber(ARGV[2])) then return 0 end
  drop(part)
end
redis.call('DEL', hook, claims, nodes, marks)
return 1
