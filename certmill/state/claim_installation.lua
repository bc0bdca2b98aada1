-- Note which installation uses this Redis, unless another does.
-- KEYS home release (beside it: a process of an older release reads the id of the home alone, as it is)
-- ARGV home release ('' = a home that has one)
-- returns {home, release} as they are noted
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local home = redis.call('GET', KEYS[1])
if home == ARGV[1] and ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2], 'NX') end
return {home, redis.call('GET', KEYS[2]) or ''}
