-- Acquire a lock, or renew it if the caller owns it. Returns {'acquired'} or {'owned', owner}.
-- With a record and a fence: only while that fence is the record's newest, else {'outdated'}. A worker that lost its
-- step must not acquire a lock that nobody would release. The record stores which lock it has; the lock it had before
-- is released.
-- `turns`: the namespace that had the lock last ('/'), and by namespace who asked for it without success, and when.
-- While another namespace has asked within a minute, the namespace that had the lock last does not get it: the name
-- of the caller whose turn it is is returned.
local lock, record, lock_before, turns = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local caller, milliseconds, fence = ARGV[1], ARGV[2], ARGV[3]
if record and redis.call('HGET', record, 'fence') ~= fence then return {'outdated'} end
local owner = redis.call('GET', lock)
-- It ends later than any caller asks for: it was taken before the clock of this Redis was set back.
if owner and redis.call('PTTL', lock) > tonumber(milliseconds) + 3600000 then owner = false end
local namespace = string.match(caller, '^[^/]*')
if turns and owner ~= caller then
  local now = tonumber(redis.call('TIME')[1])
  if not owner and redis.call('HGET', turns, '/') == namespace then
    local asked = redis.call('HGETALL', turns)
    for i = 1, #asked, 2 do
      local at, who = string.match(asked[i + 1], '^(%d+) (.*)$')
      if at and asked[i] ~= namespace and now - tonumber(at) <= 60 then owner = who end
    end
  end
  if owner then redis.call('HSET', turns, namespace, now .. ' ' .. caller)
  else
    redis.call('HDEL', turns, namespace)
    redis.call('HSET', turns, '/', namespace)
  end
  redis.call('EXPIRE', turns, 300)
end
if owner and owner ~= caller then return {'owned', owner} end
redis.call('SET', lock, caller, 'PX', milliseconds)
if record then
  if lock_before ~= lock and redis.call('GET', lock_before) == caller then redis.call('DEL', lock_before) end
  redis.call('HSET', record, 'lock', lock)
end
return {'acquired'}
