-- Take a lock, or hold it longer if it is the owner's already. Returns '' or the name of the owner.
-- With a record and a fence: only while that fence is the record's newest, else '!': a worker that lost its step must not take what nobody would release.
-- The record remembers which lock it has; another that it had before is given up.
-- `turns`: which namespace had the lock last ('/'), and who has asked for it in vain, by namespace, with the time. While another's has asked
-- within a minute, it is not the turn of the one that had it last: then the name of who has the turn is returned.
-- KEYS lock [record lock_before turns]  ARGV owner milliseconds [fence]
if KEYS[2] and redis.call('HGET', KEYS[2], 'fence') ~= ARGV[3] then return '!' end
local owner = redis.call('GET', KEYS[1])
-- Held for much longer than anybody asks for: taken before the clock of this Redis was set back.
if owner and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) + 3600000 then owner = false end
local namespace = string.match(ARGV[1], '^[^/]*')
if KEYS[4] and owner ~= ARGV[1] then
  local now = tonumber(redis.call('TIME')[1])
  if not owner and redis.call('HGET', KEYS[4], '/') == namespace then
    local asked = redis.call('HGETALL', KEYS[4])
    for i = 1, #asked, 2 do
      local at, who = string.match(asked[i + 1], '^(%d+) (.*)$')
      if at and asked[i] ~= namespace and now - tonumber(at) <= 60 then owner = who end
    end
  end
  if owner then redis.call('HSET', KEYS[4], namespace, now .. ' ' .. ARGV[1])
  else
    redis.call('HDEL', KEYS[4], namespace)
    redis.call('HSET', KEYS[4], '/', namespace)
  end
  redis.call('EXPIRE', KEYS[4], 300)
end
if owner and owner ~= ARGV[1] then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if KEYS[2] then
  if KEYS[3] ~= KEYS[1] and redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
  redis.call('HSET', KEYS[2], 'lock', KEYS[1])
end
return ''
