-- Put before store_write and store_count: the count of what an app's store holds. The script has named before it
-- sizes  key of a hash: key of the store -> its bytes (names of keys and fields, and values)
-- ttls   key of a zset: key of the store -> when it expires, in ms
-- sum    key of the sum of all sizes
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function measure(key)
  local kind = redis.call('TYPE', key)
  kind = kind.ok or kind
  local n = #key
  if kind == 'string' then return n + redis.call('STRLEN', key) end
  if kind == 'hash' then
    for _, text in ipairs(redis.call('HGETALL', key)) do n = n + #text end
  end
  return n
end

-- note sets what a key counts; nil: it is gone.
local function note(key, size)
  local old = tonumber(redis.call('HGET', sizes, key) or 0)
  if size then
    redis.call('HSET', sizes, key, size)
  else
    redis.call('HDEL', sizes, key)
    redis.call('ZREM', ttls, key)
  end
  if (size or 0) ~= old then redis.call('INCRBY', sum, string.format('%.0f', (size or 0) - old)) end
end

-- remember sets when a key expires: at once when its time is over already (0), or it is gone (-2).
local function remember(key)
  local left = redis.call('PTTL', key)
  if left == -1 then
    redis.call('ZREM', ttls, key)
  else
    redis.call('ZADD', ttls, now + math.max(left, 0), key)
  end
end

-- expire takes out of the count some of what has expired, the oldest first; true: there may be more. The clock that TIME tells
-- is a little ahead of the one by which keys expire in a script, so what is noted may be late: the next 50 ms are looked at too.
local function expire()
  local keys = redis.call('ZRANGEBYSCORE', ttls, '-inf', now + 50, 'LIMIT', 0, 100)
  for _, key in ipairs(keys) do
    if redis.call('EXISTS', key) == 0 then note(key) else remember(key) end
  end
  return #keys == 100
end
