-- Reads what is to be looked at in a part, or the request that is under way.
-- ARGV    1 process  2 part  3 round  4 marks that this node has made  5 how many at most
-- RETURNS {'lost'}: the claim, or the round, is over
--         {'request', last, synced, text}; ids of what was acknowledged last, of the part and of the synchronisation ('' none)
--         {'ok', last, synced, ms of Redis, ms when the next one is due ('' none), then six each: channel, user, wakes,
--          what was told ('' nothing), users told of the channel, where its presence stood}
if not may(ARGV[1], ARGV[2], ARGV[3]) or forgotten(ARGV[1], ARGV[4]) then return {'lost'} end
local request = redis.call('GET', key('request', ARGV[2]))
local last = redis.call('HMGET', hook, 'last:' .. ARGV[2], 'last:sync')
if request then return {'request', last[1] or '', last[2] or '', request} end
local t, due = now(), key('due', ARGV[2])
local later = redis.call('ZRANGEBYSCORE', due, '(' .. whole(t), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local out = {'ok', last[1] or '', last[2] or '', whole(t), later[2] and whole(tonumber(later[2])) or ''}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', t, 'LIMIT', 0, ARGV[5])) do
  local channel, user = string.match(member, '^(.*)\n(.*)$')
  out[#out + 1] = channel
  out[#out + 1] = user
  out[#out + 1] = redis.call('HGET', key('wakes', ARGV[2]), member) or ''
  out[#out + 1] = user ~= '' and redis.call('HGET', told(channel), user) or ''
  out[#out + 1] = whole(users(channel))
  out[#out + 1] = redis.call('HGET', told(channel), '') or ''
end
return out
