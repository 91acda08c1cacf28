-- Takes a connection from a user and tells the channel.
-- KEYS    1 head  2 users  3 the user
-- ARGV    1 deadline  2 epoch for a new channel  3 command that publishes  4 topic  5 connection id  6 user id  7 incarnation
--         8 key of entries without incarnation  9 cause
--         10 ms for which it is kept when a user was there last, '0': not
-- RETURNS {'ok', epoch, seq}: gone, or was not there (epoch '' when the channel is empty)
--         {'fenced'}: the deadline is past   {'stale'}: a later incarnation of the same process owns the entry
if past(ARGV[1]) then return {'fenced'} end
local conn, uid = ARGV[5], ARGV[6]
local cur = redis.call('HGET', KEYS[3], conn)
if not cur then return {'ok', position(KEYS[1])} end
local old = owner(cur)
if generation(old) > generation(ARGV[7]) then return {'stale'} end
return {'ok', take(KEYS[1], KEYS[2], KEYS[3], ARGV[8], conn, uid, old, ARGV[2], ARGV[3], ARGV[4], ARGV[9], ARGV[10])}
