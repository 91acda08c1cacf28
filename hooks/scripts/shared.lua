-- Put before the other scripts. All keys of a hook begin with KEYS[1] and are in its slot: what Redis loses of a hook it loses together.
local hook = KEYS[1]
local claims, nodes, marks = hook .. ':claims', hook .. ':nodes', hook .. ':marks'

-- key is a key of one part of the hook's channels.
local function key(name, part)
  return hook .. ':' .. name .. ':' .. part
end

-- told is the hash of what the sink was told of a channel: user → metas, and under '' where its presence stood.
local function told(channel)
  return hook .. ':t:' .. channel
end

-- now is the clock of Redis in ms.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- whole writes a time as text; Lua's own way would make an exponent of it.
local function whole(n)
  return string.format('%d', n)
end

-- holder gives who has claimed a part ('sync': the whole), and until when; nil: nobody.
local function holder(part)
  local claim = redis.call('HGET', claims, part)
  if not claim then return nil end
  local process, till = string.match(claim, '^(%S+) (%d+)$')
  return process, tonumber(till)
end

-- may tells whether a process may write: it has the claim, and the hook is in the round of synchronisation that it knows.
local function may(process, part, round)
  local field = part == 'sync' and 'syncing' or 'synced'
  return holder(part) == process and redis.call('HGET', hook, field) == round
end

-- forgotten tells whether Redis has lost marks of a process, which has made so many: a failover did. Then nobody knows what the sink
-- was told, and all begins anew.
local function forgotten(process, made)
  if tonumber(redis.call('HGET', marks, process) or '0') >= tonumber(made) then return false end
  redis.call('HDEL', hook, 'synced')
  redis.call('HSET', marks, process, made)
  return true
end

-- users counts those of whom the sink was told that they are in a channel.
local function users(channel)
  return redis.call('HLEN', told(channel)) - redis.call('HEXISTS', told(channel), '')
end

-- empty removes what was told of some channels of a part, and tells whether that were all.
local function empty(part, most)
  local channels = redis.call('SRANDMEMBER', key('known', part), most)
  for _, channel in ipairs(channels) do
    redis.call('DEL', told(channel))
    redis.call('SREM', key('known', part), channel)
  end
  return #channels < most
end

-- drop removes the rest of a part.
local function drop(part)
  for _, name in ipairs({'due', 'since', 'wakes', 'known', 'request'}) do redis.call('DEL', key(name, part)) end
  redis.call('HDEL', hook, 'last:' .. part)
end
