-- Claims the present period of a job for one node; periods are counted from the epoch. What says that a period was
-- claimed may be lost in a wipe or a failover. So it is claimed only under a lease that began before the period: each node
-- that outlived such a loss has taken a new one since.
-- KEYS    1 nodes  2 when the job was last claimed, ms
-- ARGV    1 incarnation  2 when its lease began, ms of the Redis clock  3 period in ms
--         4 the last claim that the node has heard of, ms; 0: of none
-- RETURNS 'won', 'taken', 'young' (the lease began in this period) or 'fenced' (there is no lease), the time in ms, and the
--         last claim in ms, 0 when none is known
local t = redis.call('TIME')
local now, period = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[3])
local start = now - now % period
local last = math.max(tonumber(redis.call('GET', KEYS[2]) or 0), tonumber(ARGV[4]))
if last > now + math.max(period, 60000) then last = 0 end -- a clock was wrong then
local deadline = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not deadline or tonumber(deadline) < now then return {'fenced', now, last} end
if last >= start then return {'taken', now, last} end
if tonumber(ARGV[2]) >= start then return {'young', now, last} end
redis.call('SET', KEYS[2], string.format('%d', now), 'PX', string.format('%d', 2 * period + 60000))
return {'won', now, now}
