"""`make bench`: every figure of the list, all in one run on this machine; one table, and .bench/latest.json.

Nothing is asserted about time: the exit code tells only whether every measurement came to its end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from compose.servers import MissingServer, ServerFailed
from tests.bench import (
    adoption,
    burst,
    dead,
    http01,
    idle,
    million,
    pipeline,
    profile,
    raw,
    single,
    soak,
    startup,
    year,
)
from tests.bench.figures import Result, machine, table, write
from tests.bench.ground import Ground

MEASUREMENTS: Mapping[str, Callable[[Ground], Result]] = {
    "raw": raw.measure,
    "pipeline": pipeline.measure,
    "single": single.measure,
    "idle": idle.measure,
    "million": million.measure,
    "dead": dead.measure,
    "burst": burst.measure,
    "http01": http01.measure,
    "adoption": adoption.measure,
    "soak": soak.measure,
    "startup": startup.measure,
    "year": year.measure,
}
LATEST = Path(__file__).resolve().parents[2] / ".bench" / "latest.json"


def main() -> int:
    """Measure; answers the exit code."""
    chosen = _arguments()
    facts = machine()
    with (
        tempfile.TemporaryDirectory(prefix="certmill-bench-") as directory,
        Ground(directory=Path(directory)) as ground,
    ):
        if chosen.profile:
            profile.show(ground)
            return 0
        result = Result(notes=[facts])
        for name in chosen.only or MEASUREMENTS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            result.add(MEASUREMENTS[name](ground))
    if {"raw_certs_per_s", "pipeline_certs_per_s"} <= result.figures.keys():
        result.figures["pipeline_vs_raw"] = (
            result.figures["pipeline_certs_per_s"] / result.figures["raw_certs_per_s"]
        )
    print(table(result))
    if not chosen.only:
        write(result, LATEST)
        print(f"written to {LATEST.parent.name}/{LATEST.name}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure certmill on this machine."
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=MEASUREMENTS,
        metavar="NAME",
        help=f"only this one: {', '.join(MEASUREMENTS)}",
    )
    parser.add_argument(
        "--profile", action="store_true", help="profile the engine over a few certificates instead"
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (MissingServer, ServerFailed, TimeoutError, AssertionError) as error:
        sys.exit(f"cannot measure: {error}")
