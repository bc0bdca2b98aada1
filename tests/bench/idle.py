"""worker_idle_rss_mb: what a worker needs that has started and ticked a few times."""

from __future__ import annotations

import time

from tests.bench.figures import Result
from tests.bench.ground import Ground
from tests.bench.processes import resident_mb

_SECONDS = 4.0


def measure(ground: Ground) -> Result:
    """One worker and one beat with nothing to do."""
    with ground.installation("idle") as installation:
        installation.start(workers=1)
        time.sleep(_SECONDS)
        processes = installation.certmill.processes
        worker, beat = (
            resident_mb(pid) for name in ("worker1", "beat1") if (pid := processes[name].pid) is not None
        )
    return Result(figures={"worker_idle_rss_mb": worker}, notes=[f"idle: beat has {beat:.0f} MB"])
