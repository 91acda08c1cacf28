-- Appends the events of a request to a stream, once. Not after the claim's end by the clock of Redis: what was late on its way may have
-- been appended by another node, and more after it. Not when the stream has lost what was appended before: all begins anew then.
-- KEYS    1 stream  2 hash: hook and part → id of its last request
-- ARGV    1 hook  2 part  3 ms of Redis when the claim ends  4 id of the part's request before it, '' none is known
--         5 id of the last one of the synchronisation, likewise  6 id, '': it only looks  then events
-- RETURNS 1   0: the claim is over   -1: the stream has lost entries
local t = redis.call('TIME')
if t[1] * 1000 + math.floor(t[2] / 1000) >= tonumber(ARGV[3]) then return 0 end
local function last(part)
  return redis.call('HGET', KEYS[2], ARGV[1] .. ' ' .. part)
end
local id = ARGV[6]
if id ~= '' and last(ARGV[2]) == id then return 1 end
if ARGV[4] ~= '' and last(ARGV[2]) ~= ARGV[4] or ARGV[5] ~= '' and last('sync') ~= ARGV[5] then return -1 end
if id == '' then return 1 end
for i = 7, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i]) end
redis.call('HSET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2], id)
return 1
