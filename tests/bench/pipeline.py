"""pipeline_certs_per_s and cpu_ms_per_cert: 300 certificates asked for at once, from the first message to the last stored pair.

One worker process a core and one beat, as `python -m workers up` starts them. Their events are on, and a listener takes all of them, so
that every step of every certificate was visible. BIND, Pebble and Redis share the machine with them.
"""

from __future__ import annotations

import time

from certmill.contract import STEP_TASKS
from tests.bench.events import Events
from tests.bench.figures import Result
from tests.bench.ground import CORES, Ground, Installation, until
from tests.bench.processes import cpu_seconds

COUNT = 300


def measure(ground: Ground) -> Result:
    """Issue COUNT certificates. Raises RuntimeError when one is not stored, or a step was not seen."""
    with ground.installation("pipeline") as installation:
        installation.start()
        installation.warm_up()
        idle, pids = installation.idle(), installation.pids()
        with Events(installation.redis_server.url) as events:
            cpu, began = cpu_seconds(pids), time.perf_counter()
            client = installation.client
            for number in range(COUNT):
                installation.request(f"site-{number:04}", client=client)
            asked = time.perf_counter() - began
            until(lambda: installation.idle() >= idle + COUNT, what=f"{COUNT} certificates are issued", seconds=300, every=0.05)
            seconds = time.perf_counter() - began
            cpu = cpu_seconds(pids) - cpu
            time.sleep(1.0)  # the last events
        _check(installation, events)
    note = (
        f"pipeline: {COUNT} in {seconds:.1f} s ({asked:.1f} s to ask for them) on {CORES} workers; {events.retries()} waits; "
        f"workers and beat used {cpu:.1f} s of {CORES * seconds:.1f} s CPU, the rest was for Pebble, BIND, Redis, and asking"
    )
    return Result(figures={"pipeline_certs_per_s": COUNT / seconds, "cpu_ms_per_cert": 1000 * cpu / COUNT}, notes=[note])


def _check(installation: Installation, events: Events) -> None:
    stored = [installation.runtime.ports.home.secret("default", f"site-{number:04}") for number in range(COUNT)]
    missing = [number for number, secret in enumerate(stored) if secret is None]
    if missing:
        raise RuntimeError(f"{len(missing)} of {COUNT} certificates are not stored; see {installation.certmill.directory}/worker1.log")
    seen = events.steps_seen()
    unseen = [name for name in (f"('default/site-{number:04}',)" for number in range(COUNT)) if seen[name] < len(STEP_TASKS)]
    if unseen:
        raise RuntimeError(f"not all steps of {len(unseen)} certificates were seen in the events, as of {unseen[0]}: {seen[unseen[0]]}")
