-- Forget a Certificate that was deleted. A run that is under way must read its manifest again; if it waits, or is
-- about to wait (`woken`), its wait ends. Without a run, every trace is removed in this one call, so that no part
-- is left over and no run that begins meanwhile is lost.
-- More KEYS: the other sets.
-- Returns 1, or 0 if no run is under way.
local record, waiting, gauges = KEYS[1], KEYS[2], KEYS[3]
local id, now, rerun_reason = ARGV[1], ARGV[2], ARGV[3]
redis.call('HDEL', gauges, id)
if (redis.call('HGET', record, 'step') or '') == '' then
  redis.call('DEL', record)
  redis.call('ZREM', waiting, id)
  for i = 4, #KEYS do redis.call('ZREM', KEYS[i], id) end
  return 0
end
redis.call('HSET', record, 'again', rerun_reason, 'woken', '1')
redis.call('ZADD', waiting, 'XX', now, id)
return 1
