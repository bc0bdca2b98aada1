"""`python -m workers up|responder|controller`: the command line of the processes that Celery has no command
for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from certmill import settings as certmill_settings
from certmill.errors import CertmillError
from certmill.settings import Settings
from workers.supervisor import supervisor


def main(arguments: list[str] | None = None) -> int:
    """Run one of the processes. Returns the exit code."""
    chosen = _parser().parse_args(arguments)
    for message in certmill_settings.unknown_variables(os.environ):
        sys.stderr.write(f"certmill: {message}\n")
    if chosen.process == "up":
        return supervisor.up(workers=chosen.workers, ready_file=chosen.ready_file)
    try:
        return _process(chosen.process)(certmill_settings.load())
    except CertmillError as error:
        sys.stderr.write(f"certmill: {error}\n")
        return 1


def _process(name: str) -> Callable[[Settings], int]:
    """Import the process when it is chosen: the supervisor needs no engine, and the responder no Kubernetes
    client."""
    if name == "controller":
        from workers import controller  # noqa: PLC0415

        return controller.run
    from workers import responder  # noqa: PLC0415

    return responder.run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers",
        description=(
            "certmill's processes. Celery's own: celery -A workers worker | beat | flower. Settings: "
            "CERTMILL_… variables."
        ),
    )
    processes = parser.add_subparsers(dest="process", required=True)
    up = processes.add_parser(
        "up",
        help="everything on this machine: Valkey if no REDIS_URL is set, workers, beat, responder, Flower",
    )
    up.add_argument(
        "--workers", type=_count, default=_cores(), metavar="N", help="worker processes (default: one a core)"
    )
    up.add_argument(
        "--ready-file", type=Path, metavar="PATH", help="written (JSON) once everything is up; for scripts"
    )
    processes.add_parser("responder", help="serve HTTP-01 challenges")
    processes.add_parser(
        "controller",
        help="watch a cluster, and tell the workers what has changed (CERTMILL_HOME_KIND=kubernetes)",
    )
    return parser


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError("a number of processes, 1 to 256")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
