-- Take a lock, or hold it longer if it is the owner's already. Returns '' or the name of the owner.
-- With a record and a fence: only while that fence is the record's newest, else '!': a worker that lost its step must not take what nobody would release.
-- KEYS lock [record]  ARGV owner milliseconds [fence]
if KEYS[2] and redis.call('HGET', KEYS[2], 'fence') ~= ARGV[3] then return '!' end
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
