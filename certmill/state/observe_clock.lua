-- A tick reports the time. If it is earlier than what an earlier tick reported, the clock was ahead for a while:
-- times that were stored meanwhile are too late, from the instant at which the clock jumped ahead.
-- `longest`: no wait and no back-off is longer.
-- Returns {from, to}: certificates with scores in between are to be reconciled now; {} if nothing is to be done.
local clock, jumps = KEYS[1], KEYS[2]
local now, tolerance, longest = ARGV[1], ARGV[2], ARGV[3]
local instant, tolerance_seconds = tonumber(now), tonumber(tolerance)
local latest = tonumber(redis.call('HGET', clock, 'latest') or now)
if instant > latest + tolerance_seconds then -- the clock is ahead, or no tick came for a while
  redis.call('ZADD', jumps, instant, now)
  redis.call('ZREMRANGEBYRANK', jumps, 0, -17)
elseif instant < latest - tolerance_seconds then
  local jump = redis.call('ZRANGEBYSCORE', jumps, '(' .. now, '+inf', 'LIMIT', 0, 1)[1]
  local from, to = math.max(instant, tonumber(jump or instant) - tolerance_seconds), latest + tonumber(longest)
  local pending = redis.call('HMGET', clock, 'from', 'to')
  from, to = math.min(from, tonumber(pending[1] or from)), math.max(to, tonumber(pending[2] or to))
  redis.call('ZREMRANGEBYSCORE', jumps, '(' .. now, '+inf')
  redis.call('HSET', clock, 'from', string.format('%.3f', from), 'to', string.format('%.3f', to))
end
redis.call('HSET', clock, 'latest', now)
local window = redis.call('HMGET', clock, 'from', 'to')
if not window[1] then return {} end
return window
