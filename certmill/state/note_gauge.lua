-- Store the gauge of a certificate that has a record. A Certificate that was deleted meanwhile has none (forget).
-- Returns 1 if the certificate had no gauge before, else 0.
local record, gauges = KEYS[1], KEYS[2]
local id, gauge = ARGV[1], ARGV[2]
if redis.call('EXISTS', record) == 0 then return 0 end
return redis.call('HSET', gauges, id, gauge)
