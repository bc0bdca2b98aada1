-- Claim a step: the record is at this step and its lease is free.
-- KEYS record in_flight waiting arrivals
-- ARGV id step now lease_seconds task_id root_id
-- returns {fence, field, value, …} or {0} (the record has moved on) or {-1} (leased, or waiting)
local at, lease, since = unpack(redis.call('HMGET', KEYS[1], 'step', 'lease', 'since'))
if at ~= ARGV[2] then return {'0'} end
local now, held = tonumber(ARGV[3]), tonumber(lease or '0')
-- A lease far ahead of now was taken before the clock was set back.
if held > now and held < now + 2 * tonumber(ARGV[4]) then return {'-1'} end
-- It waits, and was not woken: a late or doubled message must not end the wait (Retry-After) early.
if tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or '0') > now then return {'-1'} end
local till = tonumber(ARGV[3]) + tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'lease', string.format('%.3f', till), 'task', ARGV[5], 'root', ARGV[6])
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HDEL', KEYS[1], 'woken') -- what is told from now on may come too late for this step
-- A run that came to its step under a clock that was ahead would never have been there for long.
if tonumber(since or '0') > now + 60 then redis.call('HSET', KEYS[1], 'since', ARGV[3]) end
redis.call('ZADD', KEYS[2], till, ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
local answer = redis.call('HGETALL', KEYS[1])
table.insert(answer, 1, string.format('%.0f', fence))
return answer
