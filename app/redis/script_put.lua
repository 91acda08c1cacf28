-- Writes a registered script, or the mark that it was deleted, with a version above all earlier ones.
-- KEYS[1]  hash of scripts: field -> "<version> <+|-> <payload>" ("-" = deleted), and "@rev" -> mark of the last change,
--          "<mark> <number of scripts that are not deleted>"
-- ARGV[1]  field
-- ARGV[2]  "+" or "-"
-- ARGV[3]  payload
-- ARGV[4]  the writer's version of it, or 0
-- ARGV[5]  topic that announces changes: "scripts <mark before, with _ for spaces> <mark, likewise> <field>"
-- ARGV[6]  "1" = only when there is one to replace, here or (version above 0) at the writer
-- ARGV[7]  how many scripts there may be
-- RETURNS  {new version, mark before, mark}; {} when there is none to replace; {"full"} when there are too many
local function live(value)
  return value and string.match(value, '^%d+ %+') ~= nil
end
local old = redis.call('HGET', KEYS[1], ARGV[1])
local version = tonumber(ARGV[4])
if old then
  version = math.max(version, tonumber(string.match(old, '^%d+')))
end
if ARGV[6] == '1' and ((old and string.match(old, '^%d+ %-')) or (not old and version == 0)) then
  return {}
end
local before = redis.call('HGET', KEYS[1], '@rev') or ''
local count = string.match(before, ' (%d+)$')
if count then
  count = tonumber(count)
else -- written by a node that did not count
  count = 0
  for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
    if live(value) then
      count = count + 1
    end
  end
end
if live(old) then
  count = count - 1
end
if ARGV[2] == '+' then
  if not live(old) and count >= tonumber(ARGV[7]) then
    return {'full'}
  end
  count = count + 1
end
local time = redis.call('TIME')
version = math.max(version + 1, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local text = string.format('%.0f', version)
local rev = text .. '.' .. time[2] .. ' ' .. count
redis.call('HSET', KEYS[1], ARGV[1], text .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], '@rev', rev)
local function word(mark)
  return (string.gsub(mark, ' ', '_'))
end
redis.call('PUBLISH', ARGV[5], 'scripts ' .. word(before) .. ' ' .. word(rev) .. ' ' .. ARGV[1])
return {text, before, rev}
