"""soak_rss_growth_mb, flower_rss_mb: 20,000 issuances and a day of ticks, as fast as they go, through one
worker process with a beat and Flower beside it.

A hundred and sixty certificates are asked for again and again. The CA is in the worker (tests.bench.soak_app
says what is real). What a process has after 1,440 of them, when Flower is full, is compared with what it has
at the end. SOAK_ISSUANCES and SOAK_TICKS shorten it."""

from __future__ import annotations

import itertools
import json
import os
import time

from certmill.contract import TICKS_QUEUE, envelope
from certmill.model.names import certificate_id
from certmill.state import keys
from schedules import TABLE
from tests.bench.figures import Result
from tests.bench.ground import Ground, Installation
from tests.bench.processes import resident_mb
from tests.support.waiting import until

ISSUANCES = int(os.environ.get("SOAK_ISSUANCES", "20000"))
TICKS = int(os.environ.get("SOAK_TICKS", "86400"))
_CERTIFICATES = 160
_WARM_UP = 1_440
"""Issuances after which Flower is full (workers.flower.state.MAX_TASKS) and a worker's caches are."""
_TICKS_AT_ONCE = 40
_SECONDS_A_ROUND = 600.0
_SETTLE_SECONDS = 5.0


def measure(ground: Ground) -> Result:
    """Rounds of renewals, with the ticks of a day among them."""
    with ground.installation("soak", appendonly=False, log_level="WARNING") as installation:
        certmill = installation.certmill
        certmill.start(workers=0, beats=1, responder=False, flower=True)
        certmill.start_worker("worker1", app="tests.bench.soak_app")
        rounds = max(2, ISSUANCES // _CERTIFICATES)
        warm_up = min(_WARM_UP // _CERTIFICATES, rounds - 1)
        before, ticks, begun = {}, itertools.count(1), time.monotonic()
        for number in range(1, rounds + 1):
            _round(installation, number)
            _tick(installation, ticks, until_number=TICKS * number // rounds)
            if number == warm_up:
                before = _resident(installation)
        time.sleep(_SETTLE_SECONDS)
        after = _resident(installation)
    growth = {name: after[name] - before[name] for name in after}
    told = ", ".join(f"{name} {before[name]:.0f} → {after[name]:.0f} MB" for name in after)
    seconds = time.monotonic() - begun
    note = (
        f"soak: {rounds * _CERTIFICATES} issuances and {TICKS} ticks in {seconds:.0f} s (CA and self check "
        f"in the worker): {told}"
    )
    return Result(
        figures={"flower_rss_mb": after["flower"], "soak_rss_growth_mb": max(growth.values())}, notes=[note]
    )


def _round(installation: Installation, number: int) -> None:
    """Every certificate once more; returns when all are stored."""
    names = [f"soak-{n}" for n in range(_CERTIFICATES)]
    if number == 1:
        for name in names:
            installation.request(name, f"{name}.soak.test")
    else:
        for name in names:
            installation.client.renew(name)
    done = [keys.record(certificate_id("default", name)) for name in names]

    def stored() -> bool:
        with installation.redis.pipeline(transaction=False) as pipe:
            for key in done:
                pipe.hget(key, "done")
            return all(int(run or 0) >= number for run in pipe.execute())

    until(stored, what=f"round {number} is stored", seconds=_SECONDS_A_ROUND, pause=0.05)


def _tick(installation: Installation, ticks: itertools.count[int], *, until_number: int) -> None:
    """The ticks of so many seconds, as fast as the worker takes them."""
    client = installation.redis
    for number in ticks:
        until(
            lambda: client.llen(TICKS_QUEUE) < _TICKS_AT_ONCE,
            what="ticks are taken",
            seconds=_SECONDS_A_ROUND,
            pause=0.01,
        )
        for entry in TABLE:
            if number % int(entry.every_seconds) == 0:
                client.lpush(TICKS_QUEUE, _item(entry.task, number))
        if number >= until_number:
            return


def _item(task: str, number: int) -> str:
    return json.dumps(
        envelope(task, (), queue=TICKS_QUEUE, task_id=f"soak-{task}-{number}", argsrepr="()", origin="soak")
    )


def _resident(installation: Installation) -> dict[str, float]:
    processes = installation.certmill.processes
    return {name: resident_mb(process.pid) for name, process in processes.items() if process.pid is not None}
