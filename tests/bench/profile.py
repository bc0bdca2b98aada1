"""`python -m tests.bench --profile`: where the engine's own time goes, without Celery."""

from __future__ import annotations

import cProfile
import pstats

from tests.bench.ground import Ground
from tests.bench.in_process import issue

COUNT = 20
_ROWS = 25


def show(ground: Ground) -> None:
    """Profile COUNT certificates, after two to warm up, and print the functions with the most time of their
    own."""
    with ground.installation("profile") as installation:
        for number in range(2):
            issue(installation, f"warm-{number}")
        profiler = cProfile.Profile()
        profiler.enable()
        for number in range(COUNT):
            issue(installation, f"profiled-{number}")
        profiler.disable()
    print(f"{COUNT} certificates:")
    pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(_ROWS)
