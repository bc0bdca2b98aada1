-- A Certificate is gone. A run under way has to look at its manifest again; if it waits, or is about to (`woken`), it waits no longer.
-- Without one every trace goes: in one call, so that none is left of half, and no run that begins in between is lost.
-- KEYS record waiting gauges other_set…
-- ARGV id now why
-- returns 1, or 0 if no run is under way
redis.call('HDEL', KEYS[3], ARGV[1])
if (redis.call('HGET', KEYS[1], 'step') or '') == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  for i = 4, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
  return 0
end
redis.call('HSET', KEYS[1], 'again', ARGV[3], 'woken', '1')
redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
return 1
