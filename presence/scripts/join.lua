-- Adds a connection to a user, or replaces its meta, and tells the channel. What lingers of the user goes in the same change.
-- KEYS    1 head  2 users  3 the user  4 entries of this incarnation
-- ARGV    1 deadline  2 epoch for a new channel  3 command that publishes  4 topic  5 connection id  6 user id  7 incarnation  8 body
--         9 key of entries without incarnation  10 epoch in which the writer put the channel on its list, '' not known
--         11 most devices of a user, 0: the entry was allowed before  12 most bytes of their fields
-- RETURNS {'ok', epoch, seq}: written, or held already (then nothing was published)
--         {'fenced'}: the deadline is past, or the epoch is another one
--         {'stale'}: a later incarnation of the same process owns the entry
--         {'devices'}, {'metas'}: it would be more than the user may have
if refused(KEYS[1], ARGV[1], ARGV[10]) then return {'fenced'} end
local conn, uid, inc = ARGV[5], ARGV[6], ARGV[7]
local entry = inc .. ' ' .. ARGV[8]
local cur = redis.call('HGET', KEYS[3], conn)
local old = cur and owner(cur)
if old and generation(old) > generation(inc) then return {'stale'} end
if old and string.sub(cur, #old + 2) == ARGV[8] then
  if old ~= inc then
    move(ARGV[9], old, inc, conn, uid)
    redis.call('HSET', KEYS[3], conn, entry)
  end
  return {'ok', position(KEYS[1])}
end
local lingering, devices, bytes = {}, 1, #fields(entry)
local h = redis.call('HGETALL', KEYS[3])
for i = 1, #h, 2 do
  if h[i] ~= 's' and h[i] ~= conn then
    if lingers(h[i + 1]) then
      lingering[#lingering + 1] = i
    else
      devices, bytes = devices + 1, bytes + #fields(h[i + 1])
    end
  end
end
if ARGV[11] ~= '0' then
  if not cur and devices > tonumber(ARGV[11]) then return {'devices'} end
  if bytes > tonumber(ARGV[12]) then return {'metas'} end
end
local gone = ''
for _, i in ipairs(lingering) do
  redis.call('HDEL', KEYS[3], h[i])
  redis.call('ZREM', ARGV[9] .. owner(h[i + 1]), h[i] .. ' ' .. uid)
  gone = gone .. ns(h[i])
end
local op = 'u'
if not cur then
  op = 'j'
  enlist(KEYS[1], KEYS[2], KEYS[4], conn, uid)
elseif old ~= inc then
  move(ARGV[9], old, inc, conn, uid)
end
local epoch, seq = advance(KEYS[1], ARGV[2])
redis.call('HSET', KEYS[3], conn, entry, 's', seq)
publish(ARGV[3], ARGV[4], epoch, seq, op, #lingering, gone, 1, (part(uid, KEYS[3])))
return {'ok', epoch, seq}
