-- Change token buckets after an event, without a check. Once for each receipt.
-- `change`: 'spend' (a token of each; an empty bucket stays empty), 'refund' (only if the receipt exists, which it
-- ends), 'fill' (no receipt), or 'empty' (no token for `seconds`; no receipt).
-- KEYS: the receipt, and the buckets.
-- More ARGV, for each bucket: interval, capacity, lateness (state.buckets).
local receipt, instant, change, receipt_ms, closed_seconds = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now, seconds = tonumber(instant), tonumber(closed_seconds)
if change == 'spend' and not redis.call('SET', receipt, '1', 'NX', 'PX', receipt_ms) then return 0 end
if change == 'refund' and redis.call('DEL', receipt) == 0 then return 0 end
for i = 2, #KEYS do
  local at = 5 + (i - 2) * 3
  local interval, capacity, lateness = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local full_at, closed, start = string.match(redis.call('GET', KEYS[i]) or '0 0 0', '^(%S+) (%S+) (%S+)$')
  full_at, closed, start = tonumber(full_at), tonumber(closed), math.min(tonumber(start), now)
  local counted_to = math.max(start, now - lateness)
  if full_at <= now - lateness then full_at, counted_to, start = now, now, now end
  if change == 'spend' then
    full_at = math.min(full_at + interval, counted_to + capacity * interval)
  elseif change == 'refund' then
    full_at = full_at - interval
  elseif change == 'fill' then
    full_at, closed = 0, 0
  else
    full_at = now - lateness + seconds + (capacity - 1) * interval
    closed, start = now + seconds, now - lateness
  end
  local last = math.max(full_at + lateness, closed)
  if last <= now then redis.call('DEL', KEYS[i])
  else
    local kept_ms = string.format('%.0f', math.ceil((last - now) * 1000) + 1000)
    redis.call('SET', KEYS[i], string.format('%.3f %.3f %.3f', full_at, closed, start), 'PX', kept_ms)
  end
end
return 1
