"""tick_ms_at_1m, renewal_scan_ms_at_1m and redis_bytes_per_idle_cert: a Redis with one million certificates,
none of them due, and then 500.

One certificate is really issued, so that its record, its renewal time and its sighting are what a run leaves;
the others are made after it inside Redis, by the same life: full while the run lasts, then the same fields
dropped (a hash that has grown keeps the larger encoding)."""

from __future__ import annotations

import statistics
import time
from typing import cast

import redis

from certmill.contract import STEP_NAMES
from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.upkeep.ticks import RENEWALS_LIMIT
from tests.bench.figures import Result
from tests.bench.ground import Ground, Installation
from tests.bench.in_process import begin, run

COUNT = 1_000_000
_AT_ONCE = 10_000
_TICKS = 200
_NAME = "site-{:07}"

_FILL = """
-- KEYS renewals sightings  ARGV first last due signature, then three lists, each after its length:
-- fields and values in the midst of the run, fields and values at its end, fields that are dropped there
local at = 5
local function list()
  local n = tonumber(ARGV[at])
  local items = {unpack(ARGV, at + 1, at + n)}
  at = at + n + 1
  return items
end
local running, ended, dropped = list(), list(), list()
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local id = string.format('default/site-%07d', i)
  local record = 'certmill:certificate:' .. id
  if #running > 0 then redis.call('HSET', record, unpack(running)) end
  redis.call('HSET', record, unpack(ended))
  if #dropped > 0 then redis.call('HDEL', record, unpack(dropped)) end
  redis.call('ZADD', KEYS[1], tonumber(ARGV[3]) + i % 3600, id)
  redis.call('HSET', KEYS[2], 'Certificate/' .. id, ARGV[4])
end
"""


def measure(ground: Ground) -> Result:
    """Fill, weigh, tick."""
    with ground.installation("million", appendonly=False) as installation:
        certificate = begin(installation, _NAME.format(0))
        run(installation, certificate, STEP_NAMES[:-1])
        running = _fields(installation, certificate)
        run(installation, certificate, STEP_NAMES[-1:])
        installation.runtime.ticks.reread(owner="bench")
        bytes_each = _fill(installation, certificate, running)
        client, record = installation.redis, keys.record(certificate)
        weight, encoding = client.memory_usage(record, samples=0), client.object("encoding", record)
        ticks = [_tick(installation) for _ in range(_TICKS)]
        scans = [_scan(installation) for _ in range(_TICKS)]
    note = (
        f"million: the record is {weight} of the bytes ({encoding}); ticks took {min(ticks):.2f} to "
        f"{max(ticks):.2f} ms"
    )
    return Result(
        figures={
            "tick_ms_at_1m": statistics.median(ticks),
            "renewal_scan_ms_at_1m": statistics.median(scans),
            "redis_bytes_per_idle_cert": bytes_each,
        },
        notes=[note],
    )


def _fields(installation: Installation, certificate: CertificateId) -> dict[str, str]:
    return cast("dict[str, str]", installation.redis.hgetall(keys.record(certificate)))


def _fill(installation: Installation, certificate: CertificateId, running: dict[str, str]) -> float:
    """Bytes of Redis' memory for each copy. Raises RuntimeError if the copies are not like the real one."""
    client, ended = installation.redis, _fields(installation, certificate)
    due = client.zscore(keys.RENEWALS, certificate)
    signature = client.hget(keys.SIGHTINGS, f"Certificate/{certificate}")
    if due is None or signature is None:
        raise RuntimeError(f"{certificate} is not idle, or was not sighted")
    if client.object("encoding", keys.record(certificate)) == "listpack":
        running = {}  # the run has made its record anew at its end
    lists = (
        [p for item in running.items() for p in item],
        [p for item in ended.items() for p in item],
        list(running.keys() - ended.keys()),
    )
    arguments: list[str] = [part for items in lists for part in (str(len(items)), *items)]
    fill, before = client.register_script(_FILL), _used(client)
    for first in range(1, COUNT + 1, _AT_ONCE):
        fill(
            keys=[keys.RENEWALS, keys.SIGHTINGS],
            args=[first, min(first + _AT_ONCE - 1, COUNT), due, signature, *arguments],
        )
    copy = CertificateId(f"default/{_NAME.format(1)}")
    weights = {client.memory_usage(keys.record(which), samples=0) for which in (copy, certificate)}
    if _fields(installation, copy) != ended or len(weights) != 1:
        raise RuntimeError(f"the copies are not like the record that was really issued: {weights} bytes")
    return (_used(client) - before) / COUNT


def _used(client: redis.Redis) -> int:
    client.memory_purge()
    return int(client.info("memory")["used_memory"])


def _tick(installation: Installation) -> float:
    """Milliseconds of one wake and one look at the renewals."""
    ticks = installation.runtime.ticks
    began = time.perf_counter()
    woken, renewed = ticks.wake(), ticks.renew()
    took = time.perf_counter() - began
    if woken.wake_ups or renewed:
        raise RuntimeError("something was due")
    return 1000 * took


def _scan(installation: Installation) -> float:
    """Milliseconds until the due renewals are found, as many as a tick takes."""
    due, last = installation.runtime.ports.due, float("inf")
    began = time.perf_counter()
    found = due.renewals(now=last, limit=RENEWALS_LIMIT)
    took = time.perf_counter() - began
    if len(found) != RENEWALS_LIMIT:
        raise RuntimeError(f"{len(found)} renewals were found")
    return 1000 * took
