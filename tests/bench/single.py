"""single_p50_s and single_p95_s: what one caller waits for one certificate when nothing else is going on."""

from __future__ import annotations

import statistics
import time

from tests.bench.figures import Result
from tests.bench.ground import Ground

COUNT = 30


def measure(ground: Ground) -> Result:
    """One after the other, by Client.request and Handle.wait."""
    with ground.installation("single") as installation:
        installation.start()
        installation.warm_up()
        client, took = installation.client, []
        for number in range(COUNT):
            began = time.perf_counter()
            installation.request(f"single-{number}", client=client).wait(60)
            took.append(time.perf_counter() - began)
    p95 = statistics.quantiles(took, n=20, method="inclusive")[18]
    note = f"single: {min(took):.3f} to {max(took):.3f} s"
    return Result(figures={"single_p50_s": statistics.median(took), "single_p95_s": p95}, notes=[note])
