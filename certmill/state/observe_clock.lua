-- A tick tells what time it is. If that is earlier than what an earlier tick told, the clock was ahead for a while: what was noted meanwhile
-- was noted for too late, from the instant at which the clock jumped ahead on.
-- KEYS clock jumps
-- ARGV now tolerance longest (no wait and no back-off is longer)
-- returns {from, to}: scores between are to be looked at now; {} if there is nothing to put right
local now, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local latest = tonumber(redis.call('HGET', KEYS[1], 'latest') or ARGV[1])
if now > latest + tolerance then -- ahead now, or no tick came for a while
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -17)
elseif now < latest - tolerance then
  local jump = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'LIMIT', 0, 1)[1]
  local from, to = math.max(now, tonumber(jump or now) - tolerance), latest + tonumber(ARGV[3])
  local pending = redis.call('HMGET', KEYS[1], 'from', 'to')
  from, to = math.min(from, tonumber(pending[1] or from)), math.max(to, tonumber(pending[2] or to))
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf')
  redis.call('HSET', KEYS[1], 'from', string.format('%.3f', from), 'to', string.format('%.3f', to))
end
redis.call('HSET', KEYS[1], 'latest', ARGV[1])
local window = redis.call('HMGET', KEYS[1], 'from', 'to')
if not window[1] then return {} end
return window
