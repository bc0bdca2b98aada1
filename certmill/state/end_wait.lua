-- End the wait of a run that waits at a step.
-- KEYS record waiting
-- ARGV id now step
-- returns 1, or 0 if no run waits there
if redis.call('HGET', KEYS[1], 'step') ~= ARGV[3] or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
return 1
