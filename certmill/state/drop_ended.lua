-- Remove runs that have ended from the list of runs. A worker of an older release ends runs without removing them.
-- KEYS: runs record…  ARGV: id… (of each record, in the same order)
-- Returns how many were removed.
local runs = KEYS[1]
local dropped = 0
for i, id in ipairs(ARGV) do
  local record = KEYS[i + 1]
  if (redis.call('HGET', record, 'step') or '') == '' then dropped = dropped + redis.call('ZREM', runs, id) end
end
return dropped
