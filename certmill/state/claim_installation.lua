-- Write which installation uses this Redis, unless another one does.
-- `release_key` is beside `home_key`, because a process of an older release reads the id of the home alone.
-- `release_id`: '' if the home has an id of its own.
-- Returns {home, release} as they are stored.
local home_key, release_key = KEYS[1], KEYS[2]
local home_id, release_id = ARGV[1], ARGV[2]
redis.call('SET', home_key, home_id, 'NX')
local noted_home = redis.call('GET', home_key)
if noted_home == home_id and release_id ~= '' then redis.call('SET', release_key, release_id, 'NX') end
return {noted_home, redis.call('GET', release_key) or ''}
