-- Writes back a script that Redis lost or has in an older version. Doing it twice changes nothing.
-- KEYS[1]  hash of scripts, see script_put.lua; the mark keeps its number of scripts, if it had one or the hash is new
-- ARGV[1]  field
-- ARGV[2]  the whole value, "<version> <+|-> <payload>"
-- ARGV[3]  topic that announces changes
-- RETURNS  1 when written, 0 when Redis has the same or a newer one
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  local have, mine = tonumber(string.match(old, '^%d+')), tonumber(string.match(ARGV[2], '^%d+'))
  if have > mine or (have == mine and old >= ARGV[2]) then
    return 0
  end
end
local function live(value)
  if value and string.match(value, '^%d+ %+') then
    return 1
  end
  return 0
end
local count = string.match(redis.call('HGET', KEYS[1], '@rev') or '', ' (%d+)$')
if not count and redis.call('HLEN', KEYS[1]) == 0 then
  count = 0
end
local time = redis.call('TIME')
local rev = 'r' .. time[1] .. '.' .. time[2] .. ARGV[1]
if count then
  rev = rev .. ' ' .. (count + live(ARGV[2]) - live(old))
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], '@rev', rev)
redis.call('PUBLISH', ARGV[3], 'scripts ' .. rev)
return 1
