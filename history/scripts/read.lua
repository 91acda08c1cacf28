-- Reads what is kept of one channel. Counting begins with the first look at it.
-- KEYS    1 stream  2 where the channel stands
-- ARGV    1 size  2 ttl in ms  3 'XRANGE' or 'XREVRANGE'  4 from and 5 to, positions or - and +, inclusive  6 at most so many entries
-- RETURNS {where the channel stands, the clock of Redis in ms, the oldest entry that is held, entries}; an entry is {id, {'', message}}
local call = redis.call
local t = call('TIME')
local now = t[1] .. string.sub(t[2] + 1000000, 2, 4)
if call('SET', KEYS[2], now .. '-0', 'NX', 'PX', ARGV[2] + 86400000) then return {now .. '-0', now, {}, {}} end
local at = string.match(call('GET', KEYS[2]), '^%d+%-%d+')
local count = tonumber(ARGV[6])
if count == 0 then return {at, now, {}, {}} end
call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1])
local first, from = now - ARGV[2] + 1, ARGV[4] -- what is older is over, but may be there still
if from == '-' or tonumber(string.match(from, '^%d+')) < first then from = string.format('%.0f', first) end
local oldest = call('XRANGE', KEYS[1], string.format('%.0f', first), '+', 'COUNT', 1)
if ARGV[3] == 'XRANGE' then return {at, now, oldest, call('XRANGE', KEYS[1], from, ARGV[5], 'COUNT', count)} end
return {at, now, oldest, call('XREVRANGE', KEYS[1], ARGV[5], from, 'COUNT', count)}
