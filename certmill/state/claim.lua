-- Claim a step: the record is at this step and its lease is free.
-- Returns {fence, field, value, …}, {0} (the record is at another step) or {-1} (leased, or waiting).
local record, in_flight, waiting, arrivals = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, expected_step, now, lease_seconds, task_id, root_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local step, lease, since = unpack(redis.call('HMGET', record, 'step', 'lease', 'since'))
if step ~= expected_step then return {'0'} end
local instant, leased_until = tonumber(now), tonumber(lease or '0')
-- A lease that ends far in the future was taken before the clock was set back.
if leased_until > instant and leased_until < instant + 2 * tonumber(lease_seconds) then return {'-1'} end
-- The run waits and was not woken: a late or duplicate message must not end the wait (Retry-After) early.
if tonumber(redis.call('ZSCORE', waiting, id) or '0') > instant then return {'-1'} end
local lease_end = tonumber(now) + tonumber(lease_seconds)
redis.call('HSET', record, 'lease', string.format('%.3f', lease_end), 'task', task_id, 'root', root_id)
redis.call('HINCRBY', record, 'attempts', 1)
redis.call('HDEL', record, 'woken') -- a wake-up from now on may come too late for this step
-- `since` was written while the clock was ahead: without this the run would never count as long at its step.
if tonumber(since or '0') > instant + 60 then redis.call('HSET', record, 'since', now) end
redis.call('ZADD', in_flight, lease_end, id)
redis.call('ZREM', waiting, id)
redis.call('ZREM', arrivals, id)
local fence = redis.call('HINCRBY', record, 'fence', 1)
local answer = redis.call('HGETALL', record)
table.insert(answer, 1, string.format('%.0f', fence))
return answer
