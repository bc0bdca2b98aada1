-- End a step and claim the next one for the same worker in one call: `commit` and `claim` with nothing in between.
-- Only while the fence is the caller's. The certificate is in flight and stays in flight.
-- More ARGV: [dropped field]… [field value]…
-- Returns {fence, field, value, …} as `claim` does, or {0}: the step is no longer the caller's.
local record, in_flight = KEYS[1], KEYS[2]
local id, claimed_fence, next_step, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lease_seconds, task_id, root_id, dropped_count = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local step, newest_fence, newest_task = unpack(redis.call('HMGET', record, 'step', 'fence', 'task'))
local next_fence = string.format('%.0f', tonumber(claimed_fence) + 1)
-- The call is repeated if its first answer was lost.
local repeated = newest_fence == next_fence and step == next_step and newest_task == task_id
if newest_fence ~= claimed_fence and not repeated then return {'0'} end
if not repeated then
  local lease_end = string.format('%.3f', tonumber(now) + tonumber(lease_seconds))
  redis.call('HSET', record, 'step', next_step, 'fence', next_fence, 'lease', lease_end, 'attempts', '1',
    'tries', '0', 'failures', '0', 'task', task_id, 'root', root_id)
  redis.call('HDEL', record, 'woken')
  local dropped = tonumber(dropped_count)
  if dropped > 0 then redis.call('HDEL', record, unpack(ARGV, 9, 8 + dropped)) end
  if #ARGV > 8 + dropped then redis.call('HSET', record, unpack(ARGV, 9 + dropped)) end
  redis.call('ZADD', in_flight, lease_end, id)
end
local answer = redis.call('HGETALL', record)
table.insert(answer, 1, next_fence)
return answer
