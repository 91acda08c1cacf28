-- Keeps messages of one channel and publishes them on its topic, each in one step; those that are not kept it only publishes.
-- This runs for each message, so it has few commands, no functions of its own, no hash and no cjson.
-- KEYS    1 stream: entry id is the position, its one field the message as published  2 where the channel stands: '<ms>-<seq>', and
--         behind a space the bytes in the stream if one of its messages was large  3 topic
--         4 mark of a call with an idempotency key, if it has one
-- ARGV    1 size  2 ttl in ms, a second more  3 command that publishes, then for each message two: 1. kind, sender and a space,
--         2. a space and the data; or '' and the whole message, which is not kept. With KEYS[4] last how long that stays, in ms
-- RETURNS where the channel stands; with KEYS[4] the same behind a =, if all that was published before
local call, arg = redis.call, ARGV
local stream, place, topic, mark = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local last, most, day = #arg, 1048576, 86400000
if mark then
  local done = call('GET', mark)
  if done then return '=' .. done end
  last = last - 1
end
local t, at = call('TIME'), call('GET', place)
local now, fresh = t[1] .. string.sub('00000' .. t[2], -6, -4), true
local ms, seq, held = now, 0, ''
if not at then
  at = now .. '-0'
else
  ms, seq = string.match(at, '^(%d+)-(%d+)$')
  if not ms then at, ms, seq, held = string.match(at, '^((%d+)-(%d+)) (%d+)$') end
  -- Times to live are renewed in each second in which something comes: hence the second more.
  fresh = string.sub(ms, 1, -4) ~= t[1] or seq == '0'
end
for i = 4, last, 2 do
  local text = arg[i + 1]
  if arg[i] ~= '' then
    local before = ms
    if now > ms then ms = now end -- the clock may have gone back; decimals of one length compare as numbers do
    seq = seq + 1
    at = ms .. '-' .. seq
    text = arg[i] .. at .. '-' .. before .. text
    if held == '' and (#text <= 1048 or #text * arg[1] <= most) then
      -- No bytes need be counted. Redis cuts whole nodes of the stream, and readers cut the rest.
      if seq % 16 == 0 then
        call('XADD', stream, 'MAXLEN', '~', arg[1], at, '', text)
      else
        call('XADD', stream, at, '', text)
      end
    else
      call('XADD', stream, at, '', text)
      local n = call('XLEN', stream)
      if n == 1 then -- the others' time was over
        held = #text
      elseif held == '' then
        held = 0
        for _, entry in ipairs(call('XRANGE', stream, '-', '+')) do held = held + #entry[2][2] end
      else
        held = held + #text
      end
      while n > 1 and (n > tonumber(arg[1]) or held > most) do
        local oldest = call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
        call('XDEL', stream, oldest[1])
        held, n = held - #oldest[2][2], n - 1
      end
    end
  end
  call(arg[3], topic, text)
end
local head = at
if held ~= '' then head = at .. ' ' .. held end
if fresh then
  call('PEXPIRE', stream, arg[2])
  call('SET', place, head, 'PX', arg[2] + day)
else
  call('SET', place, head, 'KEEPTTL')
end
if mark then call('SET', mark, at, 'PX', arg[#arg]) end
return at
