-- Removes entries of an incarnation that is dead (or unknown), one message for all of them. Only entries that still
-- belong to it go: those that their node wrote again under a later incarnation stay.
-- KEYS    1 head  2 users  3 entries of the incarnation
-- ARGV    1 epoch for a new channel  2 command that publishes  3 topic  4 incarnation  5 key of a user without the id  then pairs: connection id, user id
-- RETURNS number of entries removed
local inc = ARGV[4]
local gone, ngone, touched, order = {}, 0, {}, {}
for i = 6, #ARGV, 2 do
  local conn, uid = ARGV[i], ARGV[i + 1]
  local key = ARGV[5] .. uid
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
  redis.call('ZREM', KEYS[3], conn .. ' ' .. uid)
end
if ngone == 0 then return 0 end
local epoch, seq = advance(KEYS[1], ARGV[1])
local users = {}
for i, uid in ipairs(order) do
  local key = ARGV[5] .. uid
  local text, left = part(uid, key)
  users[i] = text
  if left == 0 then
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[2], uid)
  else
    redis.call('HSET', key, 's', seq)
  end
end
if redis.call('ZCARD', KEYS[2]) == 0 then redis.call('PEXPIRE', KEYS[1], forget) end
publish(ARGV[2], ARGV[3], epoch, seq, 'r', ngone, table.concat(gone), #order, table.concat(users))
return ngone
