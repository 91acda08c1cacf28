-- Takes a connection from a user and tells the channel.
-- KEYS    1 head  2 users  3 the user
-- ARGV    1 deadline  2 epoch for a new channel  3 command that publishes  4 topic  5 connection id  6 user id  7 incarnation
--         8 key of entries without incarnation
-- RETURNS {'ok', epoch, seq}: gone, or was not there (epoch '' when the channel is empty)
--         {'fenced'}: the deadline is past   {'stale'}: a later incarnation of the same process owns the entry
if past(ARGV[1]) then return {'fenced'} end
local conn, uid = ARGV[5], ARGV[6]
local cur = redis.call('HGET', KEYS[3], conn)
if not cur then return {'ok', position(KEYS[1])} end
local old = owner(cur)
if generation(old) > generation(ARGV[7]) then return {'stale'} end
redis.call('ZREM', ARGV[8] .. old, conn .. ' ' .. uid)
redis.call('HDEL', KEYS[3], conn)
local epoch, seq = advance(KEYS[1], ARGV[2])
local text, left = part(uid, KEYS[3])
if left == 0 then
  redis.call('DEL', KEYS[3])
  redis.call('ZREM', KEYS[2], uid)
  if redis.call('ZCARD', KEYS[2]) == 0 then redis.call('PEXPIRE', KEYS[1], forget) end
else
  redis.call('HSET', KEYS[3], 's', seq)
end
publish(ARGV[3], ARGV[4], epoch, seq, 'l', 1, ns(conn), 1, text)
return {'ok', epoch, seq}
