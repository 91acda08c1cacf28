-- Keeps messages of one channel and publishes them on its topic, each in one step; those that are not kept it only publishes.
-- Few commands and no hash: this runs for each message. No cjson.
-- KEYS    1 stream: entry id is the position, its one field the message as published  2 where the channel stands: '<ms>-<seq>', and
--         behind a space the bytes in the stream if one of its messages was large  3 topic
--         4 mark of a call with an idempotency key, if it has one
-- ARGV    1 size  2 ttl in ms, a second more  3 command that publishes, then for each message two: 1. kind, sender and a space,
--         2. a space and the data; or '' and the whole message, which is not kept. With KEYS[4] last how long that stays, in ms
-- RETURNS where the channel stands; with KEYS[4] the same behind a =, if all that was published before
local call = redis.call
local mark, last, most, day = KEYS[4], #ARGV, 1048576, 86400000
if mark then
  local done = call('GET', mark)
  if done then return '=' .. done end
  last = last - 1
end
local t, head = call('TIME'), call('GET', KEYS[2])
local now = t[1] .. string.sub(t[2] + 1000000, 2, 4)
local ms, seq, held, fresh = now, 0, '', true
if head then ms, seq, held = string.match(head, '^(%d+)-(%d+) ?(%d*)$') end
-- The stream's time to live is renewed in each second in which something comes: hence the second more.
if head then fresh = string.sub(ms, 1, -4) ~= string.sub(now, 1, -4) or seq == '0' end

-- weigh holds a stream with large messages to its bounds, which are counted from its first large message on.
local function weigh(text)
  if held == '' then
    held = 0
    for _, entry in ipairs(call('XRANGE', KEYS[1], '-', '+')) do held = held + #entry[2][2] end
  else
    held = held + #text
  end
  local n = call('XLEN', KEYS[1])
  if n == 1 then held = #text end -- the others' time was over
  while n > 1 and (n > tonumber(ARGV[1]) or held > most) do
    local oldest = call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    call('XDEL', KEYS[1], oldest[1])
    held, n = held - #oldest[2][2], n - 1
  end
end

for i = 4, last, 2 do
  local text = ARGV[i + 1]
  if ARGV[i] ~= '' then
    local before = ms
    if now > ms then ms = now end -- the clock may have gone back; decimals of one length compare as numbers do
    seq = seq + 1
    local at = ms .. '-' .. seq
    text = ARGV[i] .. at .. '-' .. before .. text
    if held == '' and #text * ARGV[1] <= most then
      call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], at, '', text)
    else
      call('XADD', KEYS[1], at, '', text)
      weigh(text)
    end
  end
  call(ARGV[3], KEYS[3], text)
end
local at = ms .. '-' .. seq
head = at
if held ~= '' then head = at .. ' ' .. held end
if fresh then
  call('PEXPIRE', KEYS[1], ARGV[2])
  call('SET', KEYS[2], head, 'PX', ARGV[2] + day)
else
  call('SET', KEYS[2], head, 'KEEPTTL')
end
if mark then call('SET', mark, at, 'PX', ARGV[#ARGV]) end
return at
