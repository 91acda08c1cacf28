-- Notes which hooks this node has. KEYS 1 the hash of all hooks' names.
-- ARGV    1 ms after which a hook that no node has is forgotten  then names
-- RETURNS names of such hooks
local t = redis.call('TIME')
t = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 2, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], string.format('%d', t)) end
local all, old = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  if tonumber(all[i + 1]) < t - tonumber(ARGV[1]) then old[#old + 1] = all[i] end
end
return old
