-- Takes a connection from a user and tells the channel.
-- KEYS    1 head  2 users  3 the user
-- ARGV    1 deadline  2 topic  3 connection id  4 user id  5 incarnation  6 key of entries without incarnation
-- RETURNS {'ok', epoch, seq}: gone, or was not there (epoch '' when the channel is empty)
--         {'fenced'}: the deadline is past   {'stale'}: a later incarnation of the same process owns the entry
if past(ARGV[1]) then return {'fenced'} end
local conn, uid = ARGV[3], ARGV[4]
local cur = redis.call('HGET', KEYS[3], conn)
if not cur then
  local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
  return {'ok', head[1] or '', tonumber(head[2] or 0)}
end
local old = owner(cur)
if generation(old) > generation(ARGV[5]) then return {'stale'} end
redis.call('SREM', ARGV[6] .. old, conn .. ' ' .. uid)
redis.call('HDEL', KEYS[3], conn)
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local text, left = part(uid, KEYS[3])
if left == 0 then
  redis.call('DEL', KEYS[3])
  redis.call('SREM', KEYS[2], uid)
  if redis.call('SCARD', KEYS[2]) == 0 then redis.call('PEXPIRE', KEYS[1], forget) end
else
  redis.call('HSET', KEYS[3], 's', seq)
end
publish(ARGV[2], epoch, seq, 'l', 1, ns(conn), 1, text)
return {'ok', epoch, seq}
