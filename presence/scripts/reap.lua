-- Removes entries of an incarnation that is dead (or unknown), one message for all of them. Only entries that still
-- belong to it go: those that their node wrote again under a later incarnation stay, and those that linger until their time.
-- Their cause is node_lost, but of those that lingered why their connection ended.
-- KEYS    1 head  2 users  3 entries of the incarnation
-- ARGV    1 epoch for a new channel  2 command that publishes  3 topic  4 incarnation  5 key of a user without the id
--         6 'due': what lingers stays until its deadline, or 'all'
--         7 ms for which it is kept when a user was there last, '0': not
--         8 until when the incarnation lived, ms of the Redis clock, '0': not known  then pairs: connection id, user id
-- RETURNS {number of entries removed, the earliest deadline of those that stay, 0 none}
local inc = ARGV[4]
local gone, ngone, removed, why, touched, order, time, later = {}, 0, 0, '', {}, {}, now(), 0
local seen = 0
for i = 9, #ARGV, 2 do
  local conn, uid = ARGV[i], ARGV[i + 1]
  local key = ARGV[5] .. uid
  local cur = redis.call('HGET', key, conn)
  local mine = cur and owner(cur) == inc
  local till = mine and ARGV[6] == 'due' and lingers(cur) or 0
  if till > time then
    if later == 0 or till < later then later = till end
  else
    redis.call('ZREM', KEYS[3], conn .. ' ' .. uid)
    if mine then
      redis.call('HDEL', key, conn)
      removed = removed + 1
      local stayed, ended = lingers(cur)
      seen = math.max(seen, stayed or ARGV[8] ~= '0' and tonumber(ARGV[8]) or time)
      local cause = ended or 'node_lost'
      if cause ~= why then
        why, ngone = cause, ngone + 1
        gone[ngone] = ns('=' .. cause)
      end
      ngone = ngone + 1
      gone[ngone] = ns(conn)
      if not touched[uid] then
        touched[uid] = true
        order[#order + 1] = uid
      end
    end
  end
end
if removed == 0 then return {0, later} end
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
if redis.call('ZCARD', KEYS[2]) == 0 then emptied(KEYS[1], ARGV[7], math.min(seen, time)) end
publish(ARGV[2], ARGV[3], epoch, seq, 'r', ngone, table.concat(gone), #order, table.concat(users))
return {removed, later}
