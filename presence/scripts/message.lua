-- Put before the other scripts: what they share. A change is one text of netstrings (change.go), built without cjson.
local function ns(s)
  return #s .. ':' .. s
end

-- A channel that nobody is in is forgotten after a day; the next join makes a new epoch.
local forget = 86400000

-- emptied lets the head of a channel that nobody is in any more be forgotten. That of a user is kept for keep ms ('0': as any
-- other), with the time at which they were there last.
local function emptied(head, keep, at)
  if keep ~= '0' then redis.call('HSET', head, 'seen', string.format('%d', at)) end
  redis.call('PEXPIRE', head, string.format('%d', math.max(forget, tonumber(keep))))
end

-- part is one user with all metas after the change. Field 's' of a user's hash is the seq of the last change.
local function part(uid, key)
  local h = redis.call('HGETALL', key)
  local out, n = {}, 0
  for i = 1, #h, 2 do
    if h[i] ~= 's' then
      n = n + 1
      out[n] = ns(h[i]) .. ns(h[i + 1])
    end
  end
  return ns(uid) .. ns(tostring(n)) .. table.concat(out), n
end

-- advance raises the channel's seq. The first change of a history gives it its epoch.
local function advance(head, epoch)
  local seq = redis.call('HINCRBY', head, 'seq', 1)
  redis.call('HSETNX', head, 'epoch', epoch)
  return redis.call('HGET', head, 'epoch'), seq
end

-- position is where the channel stands: epoch '' when Redis knows nothing of it.
local function position(head)
  local at = redis.call('HMGET', head, 'epoch', 'seq')
  return at[1] or '', tonumber(at[2] or 0)
end

-- publish sends the change by command (PUBLISH, or SPUBLISH where topics are sharded: the topic is in the slot of the keys):
-- gone and users are texts of netstrings with their counts. In gone a mark '=<cause>' tells why those behind it left; nodes that
-- are older than causes take it for an id that they do not know.
local function publish(command, topic, epoch, seq, op, ngone, gone, nusers, users)
  redis.call(command, topic, 'p' .. ns(epoch) .. ns(string.format('%d', seq)) .. ns(op) ..
    ns(tostring(ngone)) .. gone .. ns(tostring(nusers)) .. users)
end

-- now is the clock of Redis in ms.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- past tells whether the writer's lease is over by the clock of Redis (DESIGN 3, fenced writes).
local function past(deadline)
  return now() > tonumber(deadline)
end

-- refused tells why a write of a meta may not be made: the lease is over, or it is not the epoch in which the writer put
-- the channel on its list ('' not known): Redis may have lost the lease and that list.
local function refused(head, deadline, known)
  return past(deadline) or known ~= '' and redis.call('HGET', head, 'epoch') ~= known
end

-- An entry is '<process>-<generation> <body>': the incarnation that owns it and the meta.
local function owner(entry)
  return string.match(entry, '^(%S+) ')
end

-- Causes of connections whose entries may linger. As many zeros as a cause's place here stand before the deadline, so that
-- nodes of all versions read the same deadline.
local stays = {'closed', 'lost', 'drained'}

-- lingering is what stands behind the flags of an entry that lingers.
local function lingering(cause, deadline)
  for i = 1, #stays do
    if stays[i] == cause then return '~' .. string.rep('0', i) .. string.format('%d', deadline) end
  end
  return '~' .. string.format('%d', deadline)
end

-- An entry whose connection has gone may linger: its body is '<ref> <joined> <flags>~<deadline> <fields>'. lingers gives that
-- deadline in ms of the Redis clock and why the connection ended (nil: not known), nil when the connection is there.
local function lingers(entry)
  local zeros, deadline = string.match(entry, '^%S+ %S+ %S+ [^ ~]+~(0*)(%d+) ')
  if not deadline then return nil end
  return tonumber(deadline), stays[#zeros]
end

-- fields gives a meta's own fields as JSON.
local function fields(entry)
  return string.match(entry, '^%S+ %S+ %S+ %S+ (.*)$')
end

-- enlist puts a new entry on the channel's lists.
local function enlist(head, users, entries, conn, uid)
  if redis.call('ZADD', users, 0, uid) == 1 and redis.call('ZCARD', users) == 1 then
    redis.call('PERSIST', head)
  end
  redis.call('ZADD', entries, 0, conn .. ' ' .. uid)
end

-- move gives an entry to another incarnation of the same process: entries is the key of entries without incarnation.
local function move(entries, from, to, conn, uid)
  redis.call('ZREM', entries .. from, conn .. ' ' .. uid)
  redis.call('ZADD', entries .. to, 0, conn .. ' ' .. uid)
end

-- take removes a connection of a user, and tells the channel that its node did, and why.
local function take(head, users, key, entries, conn, uid, inc, epoch, command, topic, cause, keep)
  redis.call('ZREM', entries .. inc, conn .. ' ' .. uid)
  redis.call('HDEL', key, conn)
  local at, seq = advance(head, epoch)
  local text, left = part(uid, key)
  if left == 0 then
    redis.call('DEL', key)
    redis.call('ZREM', users, uid)
    if redis.call('ZCARD', users) == 0 then emptied(head, keep, now()) end
  else
    redis.call('HSET', key, 's', seq)
  end
  publish(command, topic, at, seq, 'l', 2, ns('=' .. cause) .. ns(conn), 1, text)
  return at, seq
end

local function generation(inc)
  return tonumber(string.match(inc, '%-(%d+)$')) or 0
end
