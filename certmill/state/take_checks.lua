-- Take what is due from a set, and move it to `again_at`, when another caller takes it if this one dies. Two callers
-- at once never get the same id. Returns the ids, the longest overdue first.
local checks = KEYS[1]
local now, again_at, limit = ARGV[1], ARGV[2], ARGV[3]
local ids = redis.call('ZRANGEBYSCORE', checks, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(ids) do redis.call('ZADD', checks, again_at, id) end
return ids
