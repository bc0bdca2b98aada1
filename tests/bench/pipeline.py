"""pipeline_certs_per_s and cpu_ms_per_cert: 300 certificates asked for at once, from the first message to the
last stored pair.

One worker process a core and one beat, as `python -m workers up` starts them. Their events are on, and a
listener takes all of them, so that every step of every certificate was visible. BIND, Pebble and Redis share
the machine with them."""

from __future__ import annotations

import os
import time

from certmill.contract import STEP_TASKS
from certmill.model.names import certificate_id
from tests.bench.events import Events
from tests.bench.figures import Result
from tests.bench.ground import CORES, Ground, Installation
from tests.bench.processes import cpu_seconds, idle_seconds
from tests.support.waiting import until

COUNT = 300


def measure(ground: Ground) -> Result:
    """Issue COUNT certificates. Raises RuntimeError when one is not stored, or a step was not seen."""
    with ground.installation("pipeline") as installation:
        installation.start()
        installation.warm_up()
        idle, who = installation.idle(), _processes(ground, installation)
        with Events(installation.redis_server.url) as events:
            before, idle_before = {name: cpu_seconds(pids) for name, pids in who.items()}, idle_seconds()
            began = time.perf_counter()
            client = installation.client
            for number in range(COUNT):
                installation.request(f"site-{number:04}", client=client)
            until(
                lambda: installation.idle() >= idle + COUNT,
                what=f"{COUNT} certificates are issued",
                seconds=300,
                pause=0.05,
            )
            seconds = time.perf_counter() - began
            unused = 1000 * (idle_seconds() - idle_before) / COUNT
            each = {name: 1000 * (cpu_seconds(pids) - before[name]) / COUNT for name, pids in who.items()}
            time.sleep(1.0)  # the last events
        _check(installation, events)
    shares = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in each.items())
    waits = f"{events.retries()} waits" if events.retries() else "no step had to wait"
    there_were = 1000 * CORES * seconds / COUNT
    rest = f"idle {unused:.1f}, other programs {max(0.0, there_were - unused - sum(each.values())):.1f}"
    note = (
        f"pipeline: {COUNT} in {seconds:.1f} s on {CORES} workers, {waits}; CPU ms for each: "
        f"{shares}; {rest}; of {there_were:.1f}"
    )
    return Result(
        figures={"pipeline_certs_per_s": COUNT / seconds, "cpu_ms_per_cert": each["workers"] + each["beat"]},
        notes=[note],
    )


def _processes(ground: Ground, installation: Installation) -> dict[str, list[int]]:
    """Who shares the machine during the run: name → pids."""
    own = {
        name: process.pid
        for name, process in installation.certmill.processes.items()
        if process.pid is not None
    }
    named = ground.bind._process.pid
    return {
        "workers": [pid for name, pid in own.items() if name.startswith("worker")],
        "beat": [own["beat1"]],
        "Pebble": [ground.pebble.pid] if ground.pebble.pid else [],
        "BIND": [named] if named else [],
        "Redis": [installation.redis_server.pid] if installation.redis_server.pid else [],
        "the benchmark": [os.getpid()],
    }


def _check(installation: Installation, events: Events) -> None:
    home, names = installation.runtime.ports.home, [f"site-{number:04}" for number in range(COUNT)]
    missing = [name for name in names if home.secret("default", name) is None]
    if missing:
        conditions = home.certificate_status(certificate_id("default", missing[0])).conditions
        why = "; ".join(condition.message for condition in conditions)
        raise RuntimeError(f"{len(missing)} of {COUNT} certificates are not stored, as {missing[0]}: {why}")
    seen = events.steps_seen()
    unseen = [name for name in names if seen[f"('default/{name}',)"] < len(STEP_TASKS)]
    if unseen:
        raise RuntimeError(
            f"not all steps of {len(unseen)} certificates were seen in the events, as of {unseen[0]}"
        )
