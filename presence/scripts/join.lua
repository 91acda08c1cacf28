-- Adds a connection to a user, or replaces its meta, and tells the channel. What lingers of the user goes in the same change.
-- KEYS    1 head  2 users  3 the user  4 entries of this incarnation
-- ARGV    1 deadline  2 epoch for a new channel  3 command that publishes  4 topic  5 connection id  6 user id  7 incarnation  8 body
--         9 key of entries without incarnation  10 epoch in which the writer put the channel on its list, '' not known
-- RETURNS {'ok', epoch, seq}: written, or held already (then nothing was published)
--         {'fenced'}: the deadline is past, or the epoch is another one
--         {'stale'}: a later incarnation of the same process owns the entry
if refused(KEYS[1], ARGV[1], ARGV[10]) then return {'fenced'} end
local conn, uid, inc = ARGV[5], ARGV[6], ARGV[7]
local entry = inc .. ' ' .. ARGV[8]
local cur = redis.call('HGET', KEYS[3], conn)
local op, gone, ngone = 'j', '', 0
if cur then
  local old = owner(cur)
  if old ~= inc then
    if generation(old) > generation(inc) then return {'stale'} end
    move(ARGV[9], old, inc, conn, uid)
  end
  if string.sub(cur, #old + 2) == ARGV[8] then
    if old ~= inc then redis.call('HSET', KEYS[3], conn, entry) end
    return {'ok', position(KEYS[1])}
  end
  op = 'u'
else
  local h = redis.call('HGETALL', KEYS[3])
  for i = 1, #h, 2 do
    if lingers(h[i + 1]) then
      redis.call('HDEL', KEYS[3], h[i])
      redis.call('ZREM', ARGV[9] .. owner(h[i + 1]), h[i] .. ' ' .. uid)
      gone, ngone = gone .. ns(h[i]), ngone + 1
    end
  end
  enlist(KEYS[1], KEYS[2], KEYS[4], conn, uid)
end
local epoch, seq = advance(KEYS[1], ARGV[2])
redis.call('HSET', KEYS[3], conn, entry, 's', seq)
publish(ARGV[3], ARGV[4], epoch, seq, op, ngone, gone, 1, (part(uid, KEYS[3])))
return {'ok', epoch, seq}
