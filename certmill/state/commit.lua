-- End a step: new facts, the next step, and the set in which the certificate waits. Only while the fence is the
-- caller's.
-- More KEYS: three other sets that the certificate leaves, and `runs` if the run is over.
-- `waits`: '1' if the step waits until `due`; it continues at once if it was woken while it acted.
-- More ARGV: [dropped field]… [field value]…
-- Returns 1, or 0: the step is no longer the caller's.
local record, chosen_set = KEYS[1], KEYS[2]
local id, fence, next_step, due, waits, dropped_count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if redis.call('HGET', record, 'fence') ~= fence then return 0 end
if redis.call('HGET', record, 'step') ~= next_step then
  redis.call('HSET', record, 'tries', '0', 'failures', '0', 'task', '')
end
redis.call('HSET', record, 'step', next_step, 'lease', '0', 'attempts', '0')
local dropped = tonumber(dropped_count)
if dropped > 0 then redis.call('HDEL', record, unpack(ARGV, 7, 6 + dropped)) end
if #ARGV > 6 + dropped then redis.call('HSET', record, unpack(ARGV, 7 + dropped)) end
for i = 3, #KEYS do redis.call('ZREM', KEYS[i], id) end
-- Another run was asked for during this one: reconcile at once.
local again = next_step == '' and redis.call('HEXISTS', record, 'again') == 1
local woken = redis.call('HDEL', record, 'woken') == 1 and waits == '1'
redis.call('ZADD', chosen_set, (again or woken) and '0' or due, id)
if next_step == '' then
  -- A hash that has held the facts keeps their larger encoding: 672 bytes instead of 216.
  local left = redis.call('HGETALL', record)
  if #left < 100 then
    redis.call('DEL', record)
    redis.call('HSET', record, unpack(left))
  end
end
return 1
