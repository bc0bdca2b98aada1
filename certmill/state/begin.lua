-- Begin a run, or join the one that is under way.
-- KEYS record in_flight waiting arrivals renewals runs
-- ARGV id now first_step fence_seed spec root_id in_flight_until ('' = arrivals, let in by a tick) force ('1': a new certificate is asked for)
--   last_step
--   as_of ('' = whatever was; else the number of the last run, which was over)
--   trigger
--   own_root (the id of the run's first task, and its root if there is no root_id)
--   sent_step… (where the CA may have issued already: a new certificate that is asked for there is that of another run)
-- returns {verdict, run}: 'begun' | 'joined' | 'again' | 'stale' (a run has ended since), and the number of the run that satisfies the caller
local step = redis.call('HGET', KEYS[1], 'step') or ''
local run = tonumber(redis.call('HGET', KEYS[1], 'run') or '0')
local spec = redis.call('HGET', KEYS[1], 'spec')
local asked = ARGV[11] == 'request' or ARGV[11] == 'manual'
local function note_next() -- who asked for the run that follows this one, for Flower
  if asked then redis.call('HSET', KEYS[1], 'next_trigger', ARGV[11], 'next_root', ARGV[6]) end
end
if step ~= '' then
  local same = ARGV[6] ~= '' and ARGV[6] == redis.call('HGET', KEYS[1], 'root') -- the request that began this run, come twice
  local forced, sent = ARGV[8] == '1' and not same, false
  for i = 13, #ARGV do sent = sent or ARGV[i] == step end
  -- What it waits for, or is about to (`woken`), is not wanted any more, or a person does not want to wait.
  if forced or spec ~= ARGV[5] then
    redis.call('HSET', KEYS[1], 'woken', '1')
    redis.call('ZADD', KEYS[3], 'XX', ARGV[2], ARGV[1])
  end
  if (forced and sent) or spec ~= ARGV[5] then
    local again = ARGV[8] == '1' and 'force' or ARGV[5]
    -- A change of the manifest does not take back that a new certificate was asked for.
    if redis.call('HGET', KEYS[1], 'again') ~= 'force' then redis.call('HSET', KEYS[1], 'again', again) end
    note_next()
    return {'again', run + 1}
  end
  if step == ARGV[9] then -- it ended, and only cleans up: whoever finds that there is something to issue does not mean this run
    redis.call('HSETNX', KEYS[1], 'again', ARGV[5])
    note_next()
    return {'again', run + 1}
  end
  return {'joined', run}
end
-- The message of the request that began the last run has come twice: that run, which is over, is its answer, for the three days that
-- answers are kept (state.requests). Two workers may have the message at once, and the first has not noted its answer yet.
local last_request, requested_at = unpack(redis.call('HMGET', KEYS[1], 'last_request', 'last_request_at'))
local is_kept = tonumber(ARGV[2]) < tonumber(requested_at or '0') + 259200
if asked and ARGV[6] ~= '' and ARGV[6] == last_request and is_kept then return {'again', run} end
if ARGV[10] ~= '' and ARGV[10] ~= string.format('%.0f', run) then return {'stale', run} end
if spec ~= ARGV[5] then redis.call('HDEL', KEYS[1], 'facts', 'key') end
local trigger, root, task = ARGV[11], ARGV[6], ''
local next_trigger, next_root = unpack(redis.call('HMGET', KEYS[1], 'next_trigger', 'next_root'))
local result = redis.call('HGET', KEYS[1], 'result')
if next_trigger then
  trigger = next_trigger
  if root == '' then root = next_root or '' end
elseif not asked and spec == ARGV[5] and result and result ~= 'issued' and result ~= 'ended' then
  trigger = redis.call('HGET', KEYS[1], 'trigger') or trigger -- it repeats the run that failed
end
if root ~= '' then
  redis.call('HSET', KEYS[1], 'last_request', root, 'last_request_at', ARGV[2])
else
  redis.call('HDEL', KEYS[1], 'last_request', 'last_request_at')
end
if root == '' then root, task = ARGV[12], ARGV[12] end
local fence = math.max(tonumber(redis.call('HGET', KEYS[1], 'fence') or '0'), tonumber(ARGV[4])) + 1
redis.call('HSET', KEYS[1], 'step', ARGV[3], 'fence', string.format('%.0f', fence), 'lease', '0', 'attempts', '0', 'tries', '0', 'failures', '0',
  'task', task, 'root', root, 'trigger', trigger, 'run', run + 1, 'spec', ARGV[5], 'since', ARGV[2], 'begun', ARGV[2])
redis.call('HDEL', KEYS[1], 'reason', 'again', 'due', 'woken', 'next_trigger', 'next_root')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZADD', KEYS[6], ARGV[2], ARGV[1])
if ARGV[7] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
else
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZADD', KEYS[2], ARGV[7], ARGV[1])
end
return {'begun', run + 1}
