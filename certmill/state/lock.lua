-- Take a lock, or hold it longer if it is the owner's already. Returns '' or the name of the owner.
-- With a record and a fence: only while that fence is the record's newest, else '!': a worker that lost its step must not take what nobody would release.
-- The record remembers which lock it has; another that it had before is given up.
-- KEYS lock [record [lock before]]  ARGV owner milliseconds [fence]
if KEYS[2] and redis.call('HGET', KEYS[2], 'fence') ~= ARGV[3] then return '!' end
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if KEYS[2] then
  if KEYS[3] ~= KEYS[1] and redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
  redis.call('HSET', KEYS[2], 'lock', KEYS[1])
end
return ''
