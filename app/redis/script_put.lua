-- Writes a registered script, or the mark that it was deleted, with a version above all earlier ones.
-- KEYS[1]  hash of scripts: field -> "<version> <+|-> <payload>" ("-" = deleted), and "@rev" -> mark of the last change
-- ARGV[1]  field
-- ARGV[2]  "+" or "-"
-- ARGV[3]  payload
-- ARGV[4]  the writer's version of it, or 0
-- ARGV[5]  topic that announces changes
-- ARGV[6]  "1" = only when there is one to replace, here or (version above 0) at the writer
-- RETURNS  the new version, or "" when there is none to replace
local old = redis.call('HGET', KEYS[1], ARGV[1])
local version = tonumber(ARGV[4])
if old then
  version = math.max(version, tonumber(string.match(old, '^%d+')))
end
if ARGV[6] == '1' and ((old and string.match(old, '^%d+ %-')) or (not old and version == 0)) then
  return ''
end
local time = redis.call('TIME')
version = math.max(version + 1, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local text = string.format('%.0f', version)
local rev = text .. '.' .. time[2]
redis.call('HSET', KEYS[1], ARGV[1], text .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], '@rev', rev)
redis.call('PUBLISH', ARGV[5], 'scripts ' .. rev)
return text
