-- Removes entries of an incarnation that is dead (or unknown), one message for all of them. Only entries that still
-- belong to it go: those that their node wrote again under a later incarnation stay.
-- KEYS    1 head  2 users  3 entries of the incarnation
-- ARGV    1 topic  2 incarnation  3 key of a user without the id  then pairs: connection id, user id
-- RETURNS number of entries removed
local inc = ARGV[2]
local gone, ngone, touched, order = {}, 0, {}, {}
for i = 4, #ARGV, 2 do
  local conn, uid = ARGV[i], ARGV[i + 1]
  local key = ARGV[3] .. uid
  local cur = redis.call('HGET', key, conn)
  if cur and owner(cur) == inc then
    redis.call('HDEL', key, conn)
    ngone = ngone + 1
    gone[ngone] = ns(conn)
    if not touched[uid] then
      touched[uid] = true
      order[#order + 1] = uid
    end
  end
  redis.call('SREM', KEYS[3], conn .. ' ' .. uid)
end
if ngone == 0 then return 0 end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local users = {}
for i, uid in ipairs(order) do
  local key = ARGV[3] .. uid
  local text, left = part(uid, key)
  users[i] = text
  if left == 0 then
    redis.call('DEL', key)
    redis.call('SREM', KEYS[2], uid)
  else
    redis.call('HSET', key, 's', seq)
  end
end
if redis.call('SCARD', KEYS[2]) == 0 then redis.call('PEXPIRE', KEYS[1], forget) end
publish(ARGV[1], epoch, seq, 'r', ngone, table.concat(gone), #order, table.concat(users))
return ngone
