-- Check token buckets (GCRA), and spend one token in some of them: all or nothing.
-- KEYS: the receipt, and the buckets. Beside each bucket are the callers that wait for it: `:queue` (sorted set
-- caller → rank; the lowest is served first), `:until` (hash caller → when it comes back), `:turns` (hash group →
-- rank that its newest caller got).
-- A bucket has three instants: when it is full, until when it is closed (the server has said so), and when it was
-- last full. Refilling is counted `lateness` seconds late, because the server may have counted the first request of
-- a burst so late.
-- `rank`: the caller's, or '' if its group takes turns with the others: behind all ranks below TURNS, before all from
-- LAST on (state.buckets).
-- More ARGV, for each bucket: 1 if a token is spent, its interval, capacity and lateness (state.buckets).
-- A caller that comes back later than GRACE seconds after its time has gone, and has no place any more.
-- Returns {'0', tokens that are left in each bucket…} (without tokens if the receipt says that they were spent before)
-- or {number of the bucket without a token, seconds}.
local receipt = KEYS[1]
local instant, caller, rank_or_none, group, receipt_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local now, rank = tonumber(instant), tonumber(rank_or_none)
local TURNS, LAST, GRACE, LONGEST, CHECKED_HEADS = 1e12, 2e12, 120, 8 * 86400, 50

local function leave(bucket)
  if redis.call('ZREM', bucket .. ':queue', caller) == 0 then return end
  redis.call('HDEL', bucket .. ':until', caller)
  if redis.call('EXISTS', bucket .. ':queue') == 0 then redis.call('DEL', bucket .. ':turns') end
end

local function my_rank(queue, turns)
  if rank then return rank end
  local had = tonumber(redis.call('ZSCORE', queue, caller) or '0')
  if had >= TURNS and had < LAST then return had end
  local first = redis.call('ZRANGEBYSCORE', queue, TURNS, '(' .. LAST, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  return math.max(tonumber(first or TURNS), tonumber(redis.call('HGET', turns, group) or '0') + 1)
end

local function ahead_of(queue, mine)
  local had = tonumber(redis.call('ZSCORE', queue, caller) or '-1')
  if had == mine then return redis.call('ZRANK', queue, caller) end
  local before = redis.call('ZCOUNT', queue, '-inf', string.format('%.3f', mine))
  return (had >= 0 and had < mine) and before - 1 or before
end

local function forget_gone(bucket)
  local heads = redis.call('ZRANGE', bucket .. ':queue', 0, CHECKED_HEADS - 1)
  if #heads == 0 then return end
  local untils = redis.call('HMGET', bucket .. ':until', unpack(heads))
  for i, head in ipairs(heads) do
    local back = tonumber(untils[i] or '0')
    if head ~= caller and (back + GRACE < now or back > now + LONGEST) then
      redis.call('ZREM', bucket .. ':queue', head)
      redis.call('HDEL', bucket .. ':until', head)
    end
  end
end

if redis.call('EXISTS', receipt) == 1 then return {'0'} end
local worst, longest, worst_rank, worst_ahead = nil, 0.0005, nil, nil
local full, began, shut, left = {}, {}, {}, {'0'}
for i = 2, #KEYS do
  local bucket, at = KEYS[i], 6 + (i - 2) * 4
  local interval, capacity, lateness = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local full_at, closed, start = string.match(redis.call('GET', bucket) or '0 0 0', '^(%S+) (%S+) (%S+)$')
  start = math.min(tonumber(start), now)
  local counted_to = math.max(start, now - lateness)
  if tonumber(full_at) <= now - lateness then counted_to, start = now, now end
  -- A bucket that is more than empty was written while a clock was ahead.
  closed = tonumber(closed) > now + LONGEST and 0 or tonumber(closed)
  local empty = math.max(counted_to, closed - lateness) + capacity * interval
  full_at = math.max(counted_to, math.min(tonumber(full_at), empty))
  full[i], began[i], shut[i] = full_at, start, closed
  left[i] = string.format('%.0f', math.floor(capacity - (full_at - counted_to) / interval + 0.001) - ARGV[at])
  forget_gone(bucket)
  local mine = my_rank(bucket .. ':queue', bucket .. ':turns')
  local ahead = ahead_of(bucket .. ':queue', mine)
  local free_at = full_at + (ahead + 1 - capacity) * interval
  local wait = free_at <= counted_to and 0 or free_at + lateness - now
  if wait > longest then worst, longest, worst_rank, worst_ahead = i, wait, mine, ahead end
end

for i = 2, #KEYS do
  if i ~= worst then leave(KEYS[i]) end
end
if worst then
  local bucket = KEYS[worst]
  -- Those ahead may go away without a token, so a caller comes back before its turn to find out.
  local seconds = worst_ahead > 0 and math.max(math.min(longest, 900), longest / 2) or longest
  seconds = math.min(seconds, LONGEST - 86400)
  redis.call('ZADD', bucket .. ':queue', string.format('%.3f', worst_rank), caller)
  redis.call('HSET', bucket .. ':until', caller, string.format('%.3f', now + seconds))
  if not rank then redis.call('HSET', bucket .. ':turns', group, string.format('%.3f', worst_rank)) end
  for _, kept in ipairs({':queue', ':until', ':turns'}) do redis.call('EXPIRE', bucket .. kept, LONGEST) end
  return {tostring(worst - 1), string.format('%.3f', seconds)}
end

local spent = false
for i = 2, #KEYS do
  local at = 6 + (i - 2) * 4
  if ARGV[at] == '1' then
    local full_at = full[i] + tonumber(ARGV[at + 1])
    local kept_ms = math.ceil((full_at + tonumber(ARGV[at + 3]) - now) * 1000) + 1000
    local value = string.format('%.3f %.3f %.3f', full_at, shut[i], began[i])
    redis.call('SET', KEYS[i], value, 'PX', string.format('%.0f', kept_ms))
    spent = true
  end
end
if spent then redis.call('SET', receipt, '1', 'PX', receipt_ms) end
return left
