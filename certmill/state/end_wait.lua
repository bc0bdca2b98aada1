-- End the wait of a run that waits at this step. A worker that acts at the step may be about to wait: its commit
-- finds the mark `woken`.
-- Returns 1, or 0 if no run is at this step.
local record, waiting = KEYS[1], KEYS[2]
local id, now, step = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', record, 'step') ~= step then return 0 end
redis.call('HSET', record, 'woken', '1')
redis.call('ZADD', waiting, 'XX', now, id)
return 1
