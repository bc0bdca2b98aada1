-- Take what is due out of a set and put it in flight; two ticks at once never get the same id.
-- KEYS due in_flight
-- ARGV now suspect_after limit
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  if KEYS[1] ~= KEYS[2] then redis.call('ZREM', KEYS[1], id) end
  redis.call('ZADD', KEYS[2], ARGV[2], id)
end
return ids
