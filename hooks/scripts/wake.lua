-- Notes that users of channels may have changed. While the hook is paused nothing is noted: it begins anew.
-- ARGV    1 command that publishes  2 topic  3 parts concerned, for the topic
--         then four each: part, channel, user ('' whoever), cause of a leave ('' not known);
--         '\1' as user: the channel is in use, and is looked at when that was not known
-- RETURNS how many were noted
if redis.call('HEXISTS', hook, 'paused') == 1 then return 0 end
local t, n = now(), 0
for i = 4, #ARGV, 4 do
  local part, channel, user, cause = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local new = redis.call('SADD', key('known', part), channel) == 1
  if user ~= '\1' or new then
    if user == '\1' then user = '' end
    local member, due, wakes = channel .. '\n' .. user, key('due', part), key('wakes', part)
    local at = redis.call('ZSCORE', due, member)
    if not at or tonumber(at) > t then redis.call('ZADD', due, t, member) end
    if not redis.call('ZSCORE', key('since', part), member) then redis.call('ZADD', key('since', part), t, member) end
    local count, before = string.match(redis.call('HGET', wakes, member) or '0 0 ', '^(%d+) %d+ (.*)$')
    if cause == '' then cause = before end
    redis.call('HSET', wakes, member, whole(tonumber(count) + 1) .. ' ' .. whole(t) .. ' ' .. cause)
    n = n + 1
  end
end
if n > 0 then redis.call(ARGV[1], ARGV[2], ARGV[3]) end
return n
