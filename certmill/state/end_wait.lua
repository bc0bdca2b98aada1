-- End the wait of a run that waits at a step. One that acts there may be about to wait: its commit finds the mark `woken`.
-- KEYS record waiting
-- ARGV id now step
-- returns 1, or 0 if no run is there
if redis.call('HGET', KEYS[1], 'step') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'woken', '1')
redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
return 1
