-- Take a lock, or hold it longer if it is the owner's already. Returns '' or the name of the owner.
-- KEYS lock  ARGV owner milliseconds
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
