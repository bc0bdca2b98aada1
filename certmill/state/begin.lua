-- Begin a run, or join the run that is under way.
-- `in_flight_until`: '' puts the run among the arrivals, from which a tick takes it.
-- `force`: '1' if the caller asked for a new certificate.
-- `expected_run`: the number of the last run when the caller read the record, or '' for any.
-- `expected_deletions`: how often the Certificate had been deleted when the caller read it, or '' for any.
-- `own_root`: the id of the run's first task, which is its root if there is no `root_id`.
-- More ARGV: sent_step…: steps where the CA may have issued already. A new certificate that is asked for there is
-- that of another run.
-- Returns {verdict, run}: 'begun' | 'joined' | 'again' | 'stale' (a run has ended since, or the Certificate was
-- deleted), and the number of the run that satisfies the caller.
local record, deletions, in_flight, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local arrivals, renewals, runs = KEYS[5], KEYS[6], KEYS[7]
local id, now, first_step, fence_seed, wanted_spec, root_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local in_flight_until, force, last_step = ARGV[7], ARGV[8], ARGV[9]
local expected_run, expected_deletions, caller_trigger, own_root = ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local step = redis.call('HGET', record, 'step') or ''
local run = tonumber(redis.call('HGET', record, 'run') or '0')
local spec = redis.call('HGET', record, 'spec')
local asked = caller_trigger == 'request' or caller_trigger == 'manual'
local function note_next() -- Flower shows who asked for the run that follows this one
  if asked then redis.call('HSET', record, 'next_trigger', caller_trigger, 'next_root', root_id) end
end
if step ~= '' then
  -- The request that began this run came twice.
  local same = root_id ~= '' and root_id == redis.call('HGET', record, 'root')
  local forced, sent = force == '1' and not same, false
  for i = 14, #ARGV do sent = sent or ARGV[i] == step end
  -- The run waits, or is about to wait (`woken`), for something that is no longer desired, or a person asked now.
  if forced or spec ~= wanted_spec then
    redis.call('HSET', record, 'woken', '1')
    redis.call('ZADD', waiting, 'XX', now, id)
  end
  if (forced and sent) or spec ~= wanted_spec then
    local again = force == '1' and 'force' or wanted_spec
    -- A change of the manifest does not take back that a new certificate was asked for.
    if redis.call('HGET', record, 'again') ~= 'force' then redis.call('HSET', record, 'again', again) end
    note_next()
    return {'again', run + 1}
  end
  if step == last_step then -- it has ended and cleans up: a caller that finds something to issue means another run
    redis.call('HSETNX', record, 'again', wanted_spec)
    note_next()
    return {'again', run + 1}
  end
  return {'joined', run}
end
-- The message of the request that began the last run came twice: that run, which is over, is its answer, for the
-- three days that answers are kept (state.requests). Two workers may have the message at once, and the first has
-- not stored its answer yet.
local last_request, requested_at = unpack(redis.call('HMGET', record, 'last_request', 'last_request_at'))
local is_kept = tonumber(now) < tonumber(requested_at or '0') + 259200
if asked and root_id ~= '' and root_id == last_request and is_kept then return {'again', run} end
if expected_deletions ~= '' and expected_deletions ~= (redis.call('GET', deletions) or '0') then
  return {'stale', run}
end
if expected_run ~= '' and expected_run ~= string.format('%.0f', run) then return {'stale', run} end
if spec ~= wanted_spec then redis.call('HDEL', record, 'facts', 'key') end
local trigger, root, task = caller_trigger, root_id, ''
local next_trigger, next_root = unpack(redis.call('HMGET', record, 'next_trigger', 'next_root'))
local result = redis.call('HGET', record, 'result')
if next_trigger then
  trigger = next_trigger
  if root == '' then root = next_root or '' end
elseif not asked and spec == wanted_spec and result and result ~= 'issued' and result ~= 'ended' then
  trigger = redis.call('HGET', record, 'trigger') or trigger -- it repeats the failed run
end
if root ~= '' then
  redis.call('HSET', record, 'last_request', root, 'last_request_at', now)
else
  redis.call('HDEL', record, 'last_request', 'last_request_at')
end
if root == '' then root, task = own_root, own_root end
local fence = math.max(tonumber(redis.call('HGET', record, 'fence') or '0'), tonumber(fence_seed)) + 1
redis.call('HSET', record, 'step', first_step, 'fence', string.format('%.0f', fence), 'lease', '0', 'attempts', '0',
  'tries', '0', 'failures', '0', 'task', task, 'root', root, 'trigger', trigger, 'run', run + 1,
  'spec', wanted_spec, 'since', now, 'begun', now)
redis.call('HDEL', record, 'reason', 'again', 'due', 'woken', 'next_trigger', 'next_root')
redis.call('ZREM', waiting, id)
redis.call('ZREM', renewals, id)
redis.call('ZADD', runs, now, id)
if in_flight_until == '' then
  redis.call('ZREM', in_flight, id)
  redis.call('ZADD', arrivals, now, id)
else
  redis.call('ZREM', arrivals, id)
  redis.call('ZADD', in_flight, in_flight_until, id)
end
return {'begun', run + 1}
