-- Put an idle certificate where it waits for its renewal or next attempt; a run under way is left alone, and followed by another look:
-- whoever looked has seen something that the run may not have (a changed template).
-- KEYS record renewals in_flight waiting arrivals
-- ARGV id score spec fence_seed again (the reason for another run, as it was before we looked: a newer one is not answered yet)
-- returns 1; 0: a run is under way, or another is to follow the one that has ended meanwhile, at once
if (redis.call('HGET', KEYS[1], 'step') or '') ~= '' then
  if ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'again', ARGV[3]) end
  return 0
end
if (redis.call('HGET', KEYS[1], 'again') or '') ~= ARGV[5] then
  redis.call('ZADD', KEYS[2], '0', ARGV[1])
  return 0
end
redis.call('HSETNX', KEYS[1], 'fence', ARGV[4])
-- An order that an earlier attempt left for another spec is of no more use.
if redis.call('HGET', KEYS[1], 'spec') ~= ARGV[3] then redis.call('HDEL', KEYS[1], 'facts', 'key') end
redis.call('HSET', KEYS[1], 'step', '', 'spec', ARGV[3])
redis.call('HDEL', KEYS[1], 'again', 'next_trigger', 'next_root')
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
for i = 3, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
return 1
