-- Store facts in the middle of a step and renew its lease. Only while the fence is the caller's.
-- More ARGV: [field value]…
-- Returns 1, or 0: the step is no longer the caller's.
local record, in_flight = KEYS[1], KEYS[2]
local id, fence, now, lease_seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', record, 'fence') ~= fence then return 0 end
local lease_end = tonumber(now) + tonumber(lease_seconds)
redis.call('HSET', record, 'lease', string.format('%.3f', lease_end))
redis.call('ZADD', in_flight, lease_end, id)
for i = 5, #ARGV, 2 do redis.call('HSET', record, ARGV[i], ARGV[i + 1]) end
return 1
