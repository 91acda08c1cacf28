-- Lets the entry of a connection that has gone stay for a while, so that its user may come back unseen; nobody is told. It keeps a
-- user, not a device: while another connection of the user is there it goes at once, and else with the next one (join.lua).
-- KEYS    1 head  2 users  3 the user  4 entries of this incarnation
-- ARGV    1 to 10 as join.lua: 8 is the body without a deadline
--         11 ms to stay  12 epoch in which the entry was last written, '' never: only in another one is it written anew
--         13 why the connection ended
-- RETURNS {'ok', epoch, seq}: it stays   {'gone', epoch, seq}: it went now, or somebody had taken it away
--         {'fenced'}, {'stale'}: as join.lua
if refused(KEYS[1], ARGV[1], ARGV[10]) then return {'fenced'} end
local conn, uid, inc = ARGV[5], ARGV[6], ARGV[7]
local cur = redis.call('HGET', KEYS[3], conn)
local old = cur and owner(cur)
if old and generation(old) > generation(inc) then return {'stale'} end
local at = redis.call('HGET', KEYS[1], 'epoch')
if not cur and (ARGV[12] == '' or at == ARGV[12]) then return {'gone', position(KEYS[1])} end
local h = redis.call('HGETALL', KEYS[3])
for i = 1, #h, 2 do
  if h[i] ~= 's' and h[i] ~= conn and not lingers(h[i + 1]) then
    if not cur then return {'gone', position(KEYS[1])} end
    return {'gone', take(KEYS[1], KEYS[2], KEYS[3], ARGV[9], conn, uid, old, ARGV[2], ARGV[3], ARGV[4], ARGV[13], '0')}
  end
end
local meta, fields = string.match(ARGV[8], '^(%S+ %S+ %S+)(.*)$')
local entry = inc .. ' ' .. meta .. lingering(ARGV[13], now() + tonumber(ARGV[11])) .. fields
if cur then
  if old ~= inc then move(ARGV[9], old, inc, conn, uid) end
  redis.call('HSET', KEYS[3], conn, entry)
  return {'ok', position(KEYS[1])}
end
enlist(KEYS[1], KEYS[2], KEYS[4], conn, uid)
local epoch, seq = advance(KEYS[1], ARGV[2])
redis.call('HSET', KEYS[3], conn, entry, 's', seq)
publish(ARGV[3], ARGV[4], epoch, seq, 'j', 0, '', 1, (part(uid, KEYS[3])))
return {'ok', epoch, seq}
