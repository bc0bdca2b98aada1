-- Move what is due from a set to the certificates in flight. Two ticks at once never get the same id.
-- Returns the ids.
local due, in_flight = KEYS[1], KEYS[2]
local now, suspect_after, limit = ARGV[1], ARGV[2], ARGV[3]
local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(ids) do
  if due ~= in_flight then redis.call('ZREM', due, id) end
  redis.call('ZADD', in_flight, suspect_after, id)
end
return ids
