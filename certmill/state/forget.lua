-- Forget a Certificate that was deleted. A run that is under way must read its manifest again; if it waits, or is
-- about to wait (`woken`), its wait ends. Without a run, every trace is removed in this one call, so that no part
-- is left over and no run that begins meanwhile is lost.
-- `deletions` is counted for `deletions_seconds`, longer than any reconciliation takes: one that has read the
-- Certificate before its deletion must not store it again (adopt, begin).
-- More KEYS: the other sets.
-- Returns 1, or 0 if no run is under way.
local record, deletions, waiting, gauges = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, now, rerun_reason, deletions_seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call('INCR', deletions)
redis.call('EXPIRE', deletions, deletions_seconds)
redis.call('HDEL', gauges, id)
if (redis.call('HGET', record, 'step') or '') == '' then
  redis.call('DEL', record)
  redis.call('ZREM', waiting, id)
  for i = 5, #KEYS do redis.call('ZREM', KEYS[i], id) end
  return 0
end
redis.call('HSET', record, 'again', rerun_reason, 'woken', '1')
redis.call('ZADD', waiting, 'XX', now, id)
return 1
