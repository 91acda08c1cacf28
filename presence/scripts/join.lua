-- Adds a connection to a user, or replaces its meta, and tells the channel.
-- KEYS    1 head  2 users  3 the user  4 entries of this incarnation
-- ARGV    1 deadline  2 epoch for a new channel  3 command that publishes  4 topic  5 connection id  6 user id  7 incarnation  8 body
--         9 key of entries without incarnation  10 epoch in which the writer put the channel on its list, '' not known
-- RETURNS {'ok', epoch, seq}: written, or held already (then nothing was published)
--         {'fenced'}: the deadline is past, or the epoch is another one: Redis may have lost the lease and that list
--         {'stale'}: a later incarnation of the same process owns the entry
if past(ARGV[1]) or ARGV[10] ~= '' and redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[10] then return {'fenced'} end
local conn, uid, inc = ARGV[5], ARGV[6], ARGV[7]
local entry = inc .. ' ' .. ARGV[8]
local cur = redis.call('HGET', KEYS[3], conn)
local op = 'j'
if cur then
  local old = owner(cur)
  if old ~= inc then
    if generation(old) > generation(inc) then return {'stale'} end
    redis.call('ZREM', ARGV[9] .. old, conn .. ' ' .. uid)
    redis.call('ZADD', KEYS[4], 0, conn .. ' ' .. uid)
  end
  if string.sub(cur, #old + 2) == ARGV[8] then
    if old ~= inc then redis.call('HSET', KEYS[3], conn, entry) end
    return {'ok', position(KEYS[1])}
  end
  op = 'u'
else
  if redis.call('ZADD', KEYS[2], 0, uid) == 1 and redis.call('ZCARD', KEYS[2]) == 1 then
    redis.call('PERSIST', KEYS[1])
  end
  redis.call('ZADD', KEYS[4], 0, conn .. ' ' .. uid)
end
local epoch, seq = advance(KEYS[1], ARGV[2])
redis.call('HSET', KEYS[3], conn, entry, 's', seq)
publish(ARGV[3], ARGV[4], epoch, seq, op, 0, '', 1, (part(uid, KEYS[3])))
return {'ok', epoch, seq}
