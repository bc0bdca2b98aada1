-- End a step and claim the next one for the same worker, in one call: `commit` and `claim` with nothing in between; only while the fence
-- is still ours. The certificate is in flight, and stays there.
-- KEYS record in_flight
-- ARGV id fence next_step now lease_seconds task_id root_id dropped_count [dropped field]… [field value]…
-- returns {fence, field, value, …} as `claim` does, or {0} (the step is no longer ours)
local step, at, task = unpack(redis.call('HMGET', KEYS[1], 'step', 'fence', 'task'))
local fence = string.format('%.0f', tonumber(ARGV[2]) + 1)
local repeated = at == fence and step == ARGV[3] and task == ARGV[6] -- sent again, as the first answer was lost
if at ~= ARGV[2] and not repeated then return {'0'} end
if not repeated then
  local till = string.format('%.3f', tonumber(ARGV[4]) + tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1], 'step', ARGV[3], 'fence', fence, 'lease', till, 'attempts', '1', 'tries', '0', 'failures', '0',
    'task', ARGV[6], 'root', ARGV[7])
  redis.call('HDEL', KEYS[1], 'woken')
  local dropped = tonumber(ARGV[8])
  if dropped > 0 then redis.call('HDEL', KEYS[1], unpack(ARGV, 9, 8 + dropped)) end
  if #ARGV > 8 + dropped then redis.call('HSET', KEYS[1], unpack(ARGV, 9 + dropped)) end
  redis.call('ZADD', KEYS[2], till, ARGV[1])
end
local answer = redis.call('HGETALL', KEYS[1])
table.insert(answer, 1, fence)
return answer
