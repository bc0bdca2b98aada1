-- Put an idle certificate into `renewals`, where it waits for its renewal or next attempt. A run that is under way is
-- not changed; a reconciliation follows it, because the caller may have seen a change that the run has not.
-- More KEYS: in_flight waiting arrivals: the sets that the certificate leaves.
-- `rerun_reason`: the reason for another run as the caller read it. A newer reason is not answered yet.
-- Returns 1; 0: a run is under way, or one has ended meanwhile and another must follow it at once.
local record, renewals, in_flight, waiting, arrivals = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, due, spec, fence_seed, rerun_reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if (redis.call('HGET', record, 'step') or '') ~= '' then
  if spec ~= '' then redis.call('HSETNX', record, 'again', spec) end
  return 0
end
if (redis.call('HGET', record, 'again') or '') ~= rerun_reason then
  redis.call('ZADD', renewals, '0', id)
  return 0
end
redis.call('HSETNX', record, 'fence', fence_seed)
-- An order that an earlier attempt left for another spec cannot be used.
if redis.call('HGET', record, 'spec') ~= spec then redis.call('HDEL', record, 'facts', 'key') end
redis.call('HSET', record, 'step', '', 'spec', spec)
redis.call('HDEL', record, 'again', 'next_trigger', 'next_root')
redis.call('ZADD', renewals, due, id)
for i = 3, #KEYS do redis.call('ZREM', KEYS[i], id) end
return 1
