-- Notes what the sink has acknowledged, and what was looked at.
-- ARGV    1 process  2 part, or 'sync'  3 round  4 id of the request that was acknowledged, '' none  5 events in it
--         then five each:
--         'set', part, channel, user, metas      the sink knows the user
--         'del', part, channel, user, ''         the sink knows that the user has left
--         'at', part, channel, position, ''      where the channel's presence stood then
--         'done', part, channel, user, wakes     nothing is owed, unless it was woken since
--         'later', part, channel, user, wakes    likewise, but is looked at in `ms`: wakes is '<ms> <wakes>'
--         'unused', part, channel, '', ''        nobody is in the channel: it is forgotten, unless the sink was told of somebody
--         'anew', '', '', '', ''                 the sink has lost what it was told: all begins anew
-- RETURNS {'ok', marks of this process}
--         {'lost'}: the claim, or the round, is over   {'missing'}: the request has gone: Redis has lost writes; all begins anew
local process, part, id = ARGV[1], ARGV[2], ARGV[4]
if not may(process, part, ARGV[3]) then return {'lost'} end
if id ~= '' and part ~= 'sync' then
  local kept = redis.call('GET', key('request', part))
  if not kept or string.sub(kept, 1, #id + 1) ~= id .. '\n' then
    if redis.call('HGET', hook, 'last:' .. part) == id then -- an answer was lost
      return {'ok', tonumber(redis.call('HGET', marks, process) or '0')}
    end
    redis.call('HDEL', hook, 'synced')
    return {'missing'}
  end
  redis.call('DEL', key('request', part))
end
if id ~= '' then redis.call('HSET', hook, 'last:' .. part, id) end
for i = 6, #ARGV, 5 do
  local op, p, channel, user, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local member, wakes = channel .. '\n' .. user, key('wakes', p)
  if op == 'set' then
    redis.call('HSET', told(channel), user, value)
    redis.call('SADD', key('known', p), channel)
  elseif op == 'del' then
    redis.call('HDEL', told(channel), user)
    if users(channel) == 0 then
      redis.call('DEL', told(channel))
      redis.call('SREM', key('known', p), channel)
    end
  elseif op == 'at' then
    if redis.call('EXISTS', told(channel)) == 1 then redis.call('HSET', told(channel), '', user) end
  elseif op == 'done' then
    if redis.call('HGET', wakes, member) == value then
      redis.call('HDEL', wakes, member)
      redis.call('ZREM', key('due', p), member)
      redis.call('ZREM', key('since', p), member)
    end
  elseif op == 'later' then
    local ms, was = string.match(value, '^(%d+) (.*)$')
    if redis.call('HGET', wakes, member) == was then redis.call('ZADD', key('due', p), now() + tonumber(ms), member) end
  elseif op == 'unused' and redis.call('EXISTS', told(channel)) == 0 then
    redis.call('SREM', key('known', p), channel)
  elseif op == 'anew' then
    redis.call('HDEL', hook, 'synced')
  end
end
if id == '' then return {'ok', tonumber(redis.call('HGET', marks, process) or '0')} end
redis.call('HINCRBY', hook, 'delivered', ARGV[5])
redis.call('HSET', hook, 'ok_at', whole(now()))
return {'ok', redis.call('HINCRBY', marks, process, 1)}
