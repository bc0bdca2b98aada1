-- Keep facts in the middle of a step, and go on holding its lease; only while the fence is still ours.
-- KEYS record in_flight
-- ARGV id fence now lease_seconds [field value]…
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[2] then return 0 end
local till = tonumber(ARGV[3]) + tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'lease', string.format('%.3f', till))
redis.call('ZADD', KEYS[2], till, ARGV[1])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
