-- Take out of the list of runs those that have ended: a worker of a release that keeps no such list ends runs without it.
-- KEYS runs record…  ARGV id…
-- returns how many
local dropped = 0
for i, id in ipairs(ARGV) do
  if (redis.call('HGET', KEYS[i + 1], 'step') or '') == '' then dropped = dropped + redis.call('ZREM', KEYS[1], id) end
end
return dropped
