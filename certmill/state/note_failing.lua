-- Note that a certificate's last run failed, and forget a few that were noted too long ago.
-- `spec`: '' if the issuer caused the failure.
-- Returns how many were forgotten.
local by_issuer, others, times = KEYS[1], KEYS[2], KEYS[3]
local id, spec, now, kept_seconds, batch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local old = redis.call('ZRANGEBYSCORE', times, '-inf', tonumber(now) - tonumber(kept_seconds), 'LIMIT', 0, batch)
if #old > 0 then
  redis.call('SREM', by_issuer, unpack(old))
  redis.call('HDEL', others, unpack(old))
  redis.call('ZREM', times, unpack(old))
end
if spec == '' then
  redis.call('HDEL', others, id)
  redis.call('SADD', by_issuer, id)
else
  redis.call('SREM', by_issuer, id)
  redis.call('HSET', others, id, spec)
end
redis.call('ZADD', times, now, id)
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], kept_seconds) end
return #old
