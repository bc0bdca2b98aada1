-- End a step: new facts, the step that is next, and in which set it waits; only while the fence is still ours.
-- KEYS record chosen_set other_set other_set other_set [runs: the run is over]
-- ARGV id fence step score waits ('1': until the score; at once if it was woken while the step was acting)
--   dropped_count [dropped field]… [field value]…
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'step') ~= ARGV[3] then redis.call('HSET', KEYS[1], 'tries', '0', 'failures', '0', 'task', '') end
redis.call('HSET', KEYS[1], 'step', ARGV[3], 'lease', '0', 'attempts', '0')
local dropped = tonumber(ARGV[6])
if dropped > 0 then redis.call('HDEL', KEYS[1], unpack(ARGV, 7, 6 + dropped)) end
if #ARGV > 6 + dropped then redis.call('HSET', KEYS[1], unpack(ARGV, 7 + dropped)) end
for i = 3, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
-- Somebody asked for another run while this one went on: look again at once.
local again = ARGV[3] == '' and redis.call('HEXISTS', KEYS[1], 'again') == 1
local woken = redis.call('HDEL', KEYS[1], 'woken') == 1 and ARGV[5] == '1'
redis.call('ZADD', KEYS[2], (again or woken) and '0' or ARGV[4], ARGV[1])
if ARGV[3] == '' then -- a hash that has held the facts keeps their larger encoding for ever: 672 bytes instead of 216
  local left = redis.call('HGETALL', KEYS[1])
  if #left < 100 then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], unpack(left))
  end
end
return 1
