-- A node's heartbeat for a hook: it renews its claims, and takes its share of the parts. Without synchronisation nobody has a part,
-- and one node has them all for it.
-- ARGV    1 process  2 ms that a claim lasts  3 definition  4 '1': the node has just started, so its definition counts
--         5 marks that this node has made  6 number of parts  then the parts ('sync' too) with a request under way
-- RETURNS {'other'}: the definition of a node that started later is in force
--         {'paused'}
--         {'sync', known before '0' or '1', mine '0' or '1', parts that are not given back yet, ms since it is due, ms of Redis}
--         {'ok', round, ms of Redis, then five each: part, when it is due in ms ('' not), '1' with a request, changes that are owed,
--          ms of the oldest ('' none)}
local process, t, parts = ARGV[1], now(), tonumber(ARGV[6])
local busy = {}
for i = 7, #ARGV do busy[ARGV[i]] = true end
local till = process .. ' ' .. whole(t + tonumber(ARGV[2]))
-- leave gives all back but what has a request under way.
local function leave()
  for part = 0, parts do
    local p = part < parts and whole(part) or 'sync'
    if holder(p) == process then
      if busy[p] then redis.call('HSET', claims, p, till) else redis.call('HDEL', claims, p) end
    end
  end
  redis.call('ZREM', nodes, process)
end
local definition = redis.call('HGET', hook, 'definition')
if definition ~= ARGV[3] then
  if definition and ARGV[4] ~= '1' then
    leave()
    return {'other'}
  end
  redis.call('HSET', hook, 'definition', ARGV[3])
  redis.call('HDEL', hook, 'synced', 'paused')
end
forgotten(process, ARGV[5])
if redis.call('HEXISTS', hook, 'paused') == 1 then
  leave()
  return {'paused'}
end
redis.call('ZADD', nodes, t + tonumber(ARGV[2]), process)
local gone = t - 86400000 -- one that was frozen still wants to know its marks
for _, old in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', gone)) do redis.call('HDEL', marks, old) end
redis.call('ZREMRANGEBYSCORE', nodes, '-inf', gone)
local own, free, taken = {}, {}, 0
for part = 0, parts - 1 do
  local who, ends = holder(part)
  if who and ends < t then
    redis.call('HDEL', claims, part)
    who = nil
  end
  if not who then
    free[#free + 1] = part
  elseif who == process then
    own[#own + 1] = part
  else
    taken = taken + 1
  end
end
local round = redis.call('HGET', hook, 'synced')
if not round then
  for _, part in ipairs(own) do
    if busy[whole(part)] then
      taken = taken + 1
      redis.call('HSET', claims, part, till)
    else
      redis.call('HDEL', claims, part)
    end
  end
  local who, ends = holder('sync')
  local mine = not who or ends < t or who == process
  if mine then redis.call('HSET', claims, 'sync', till) end
  redis.call('HSETNX', hook, 'unsynced', t)
  return {'sync', definition and '1' or '0', mine and '1' or '0', taken,
    t - tonumber(redis.call('HGET', hook, 'unsynced')), whole(t)}
end
local share, out = math.ceil(parts / redis.call('ZCOUNT', nodes, t, '+inf')), {'ok', round, whole(t)}
local have = #own
local function keep(part)
  redis.call('HSET', claims, part, till)
  local due = redis.call('ZRANGE', key('due', part), 0, 0, 'WITHSCORES')
  local oldest = redis.call('ZRANGE', key('since', part), 0, 0, 'WITHSCORES')
  out[#out + 1] = whole(part)
  out[#out + 1] = due[2] and whole(tonumber(due[2])) or ''
  out[#out + 1] = whole(redis.call('EXISTS', key('request', part)))
  out[#out + 1] = whole(redis.call('ZCARD', key('since', part)))
  out[#out + 1] = oldest[2] and whole(tonumber(oldest[2])) or ''
end
for _, part in ipairs(own) do
  if have > share and not busy[whole(part)] then
    redis.call('HDEL', claims, part)
    have = have - 1
  else
    keep(part)
  end
end
for _, part in ipairs(free) do
  if have < share then
    have = have + 1
    keep(part)
  end
end
return out
