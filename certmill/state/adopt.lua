-- Put an idle certificate into `renewals`, where it waits for its renewal or next attempt. A run that is under way is
-- not changed; a reconciliation follows it, because the caller may have seen a change that the run has not.
-- More KEYS: in_flight waiting arrivals: the sets that the certificate leaves.
-- `rerun_reason`: the reason for another run as the caller read it. A newer reason is not answered yet.
-- `expected_deletions`: how often the Certificate had been deleted when the caller read it, or '' for any.
-- Returns 'adopted'; 'running': a run is under way, or one has ended meanwhile and another must follow it at once;
-- 'stale': the Certificate was deleted meanwhile.
local record, deletions, renewals, in_flight, waiting, arrivals = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, due, spec, fence_seed, rerun_reason, expected_deletions = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if expected_deletions ~= '' and expected_deletions ~= (redis.call('GET', deletions) or '0') then return 'stale' end
if (redis.call('HGET', record, 'step') or '') ~= '' then
  if spec ~= '' then redis.call('HSETNX', record, 'again', spec) end
  return 'running'
end
if (redis.call('HGET', record, 'again') or '') ~= rerun_reason then
  redis.call('ZADD', renewals, '0', id)
  return 'running'
end
redis.call('HSETNX', record, 'fence', fence_seed)
-- An order that an earlier attempt left for another spec cannot be used.
if redis.call('HGET', record, 'spec') ~= spec then redis.call('HDEL', record, 'facts', 'key') end
redis.call('HSET', record, 'step', '', 'spec', spec)
redis.call('HDEL', record, 'again', 'next_trigger', 'next_root')
redis.call('ZADD', renewals, due, id)
for i = 4, #KEYS do redis.call('ZREM', KEYS[i], id) end
return 'adopted'
