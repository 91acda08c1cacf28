-- Writes one key of an app's store, if the store stays within its quota, and counts it (store_size.lua).
-- KEYS    1 the key  2 sizes  3 ttls  4 sum
-- ARGV    1 keys that the store may have, 0 any number  2 bytes, likewise  3 SET, INCRBY, HSET, HDEL, DEL or PEXPIRE  4… its arguments behind the key
-- RETURNS what the command returns; {'quota', 'keys' or 'bytes'}: nothing was done
local key, command = KEYS[1], ARGV[3]

if command == 'DEL' then
  local n = redis.call('DEL', key)
  note(key)
  return n
end
if command == 'PEXPIRE' then
  local n = redis.call('PEXPIRE', key, ARGV[4])
  if n == 1 then remember(key) end
  return n
end
if command == 'HDEL' then
  local freed = #ARGV[4] + redis.call('HSTRLEN', key, ARGV[4])
  local n = redis.call('HDEL', key, ARGV[4])
  local size = redis.call('HGET', sizes, key)
  if redis.call('EXISTS', key) == 0 then
    note(key)
  elseif n == 1 and size then
    note(key, tonumber(size) - freed)
  end
  return n
end

local more = expire()
local there = redis.call('EXISTS', key) == 1
local size = tonumber(redis.call('HGET', sizes, key) or 0)
if there and size == 0 then -- written before there was a quota
  size = measure(key)
  note(key, size)
  remember(key)
elseif not there and size > 0 then
  note(key)
  size = 0
end

local after = there and size or #key
if command == 'SET' then
  for i = 5, #ARGV do
    if ARGV[i] == 'NX' and there then return false end
  end
  after = #key + #ARGV[4]
elseif command == 'HSET' then
  if redis.call('HEXISTS', key, ARGV[4]) == 1 then
    after = after + #ARGV[5] - redis.call('HSTRLEN', key, ARGV[4])
  else
    after = after + #ARGV[4] + #ARGV[5]
  end
elseif not there then
  after = after + #ARGV[4]
end
local keys, bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local function beyond()
  if not there and keys > 0 and redis.call('HLEN', sizes) >= keys then return 'keys' end
  if bytes > 0 and after > size and tonumber(redis.call('GET', sum) or 0) + after - size > bytes then return 'bytes' end
end
local what = beyond()
for _ = 1, 100 do
  if not (what and more) then break end
  more = expire()
  what = beyond()
end
if what then return {'quota', what} end

local reply = redis.call(command, key, unpack(ARGV, 4))
if command == 'INCRBY' then after = #key + redis.call('STRLEN', key) end
note(key, after)
if command == 'SET' then remember(key) end
return reply
