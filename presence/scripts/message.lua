-- Put before the other scripts: what they share. A change is one text of netstrings (change.go), built without cjson.
local function ns(s)
  return #s .. ':' .. s
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
-- gone and users are texts of netstrings with their counts.
local function publish(command, topic, epoch, seq, op, ngone, gone, nusers, users)
  redis.call(command, topic, 'p' .. ns(epoch) .. ns(string.format('%d', seq)) .. ns(op) ..
    ns(tostring(ngone)) .. gone .. ns(tostring(nusers)) .. users)
end

-- past tells whether the writer's lease is over by the clock of Redis (DESIGN 3, fenced writes).
local function past(deadline)
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) > tonumber(deadline)
end

-- An entry is '<process>-<generation> <body>': the incarnation that owns it and the meta.
local function owner(entry)
  return string.match(entry, '^(%S+) ')
end

local function generation(inc)
  return tonumber(string.match(inc, '%-(%d+)$')) or 0
end

-- A channel that nobody is in is forgotten after a day; the next join makes a new epoch.
local forget = 86400000
