-- Reads how a hook is.
-- ARGV    1 number of parts
-- RETURNS {paused '0' or '1', synced '0' or '1', failed at ms, acknowledged at ms, events delivered, last error, changes owed,
--          ms for which the oldest is owed}
local v = redis.call('HMGET', hook, 'failed_at', 'ok_at', 'delivered', 'last_error', 'unsynced')
local owed, oldest, t = 0, nil, now()
for part = 0, tonumber(ARGV[1]) - 1 do
  owed = owed + redis.call('ZCARD', key('since', part))
  local first = redis.call('ZRANGE', key('since', part), 0, 0, 'WITHSCORES')
  if first[2] and (not oldest or tonumber(first[2]) < oldest) then oldest = tonumber(first[2]) end
end
if v[5] and (not oldest or tonumber(v[5]) < oldest) then oldest = tonumber(v[5]) end
return {whole(redis.call('HEXISTS', hook, 'paused')), whole(redis.call('HEXISTS', hook, 'synced')), v[1] or '0', v[2] or '0',
  v[3] or '0', v[4] or '', whole(owed), whole(oldest and math.max(0, t - oldest) or 0)}
