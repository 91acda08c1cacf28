-- Declares dead every incarnation whose deadline is more than the grace past. From then on its heartbeats are answered
-- "lost", and its writes were refused already since the deadline. It is for nodes whose own lease is good by the same clock:
-- a declaration that waited while Redis stood still says nothing about the others.
-- KEYS    1 nodes  2 reaping
-- ARGV    1 incarnation of the node that declares  2 grace in ms  3 'all', or 'own': earlier ones of this node only
-- RETURNS all incarnations of which entries are to be removed now: what lingers longer is put off (reaper.go). Earlier ones
--         of a node that lives are left to it: it may not have been able yet to write its entries again
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local own = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not own or tonumber(own) < now then return {} end
local function process(inc) return string.match(inc, '^(.*)%-') or inc end
local mine, all = process(ARGV[1]), ARGV[3] == 'all'
for _, inc in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%d', now - tonumber(ARGV[2])), 'LIMIT', 0, 100)) do
  if all or process(inc) == mine then
    redis.call('ZREM', KEYS[1], inc)
    redis.call('ZADD', KEYS[2], now, inc)
  end
end
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%d', now))
if #due == 0 then return due end
local alive = {}
for _, inc in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%d', now), '+inf')) do alive[process(inc)] = true end
local out = {}
for _, inc in ipairs(due) do
  local of = process(inc)
  if of == mine or all and not alive[of] then out[#out + 1] = inc end
end
return out
