-- Release a lock if the caller owns it. Returns 1, or 0.
local lock = KEYS[1]
local owner = ARGV[1]
if redis.call('GET', lock) == owner then return redis.call('DEL', lock) end
return 0
