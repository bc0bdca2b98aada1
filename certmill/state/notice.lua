-- A run that is under way has to look at its manifest again; if it waits, or is about to (`woken`), it waits no longer.
-- KEYS record waiting
-- ARGV id now why
-- returns 1, or 0 if none is under way
if (redis.call('HGET', KEYS[1], 'step') or '') == '' then return 0 end
redis.call('HSET', KEYS[1], 'again', ARGV[3], 'woken', '1')
redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
return 1
