"""The figures, their targets, and how they are told: one table, one JSON file with flat keys."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compose.servers import require
from compose.servers.pebble import VERSION as PEBBLE_VERSION
from compose.servers.redis import find_redis


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure: what it is, and the target as text and as a test, if it has one."""

    what: str
    target: str = ""
    reached: Callable[[float], bool] = field(default=lambda _: True)


FIGURES: Mapping[str, Figure] = {
    "raw_certs_per_s": Figure(what="a bare loop over the acme package's client, one thread, DNS-01"),
    "pipeline_certs_per_s": Figure(
        what="300 certificates, one worker process a core, events on and all of them received"
    ),
    "pipeline_vs_raw": Figure(
        what="the second over the first", target="≥ 0.9", reached=lambda value: value >= 0.9
    ),
    "single_p50_s": Figure(
        what="one certificate on an idle system, asked for and waited for by Client",
        target="≤ 0.1",
        reached=lambda v: v <= 0.1,
    ),
    "single_p95_s": Figure(what="the same", target="< 1", reached=lambda value: value < 1.0),
    "cpu_ms_per_cert": Figure(what="CPU of workers and beat while the 300 were issued"),
    "worker_idle_rss_mb": Figure(
        what="a worker that has just ticked a few times", target="< 120", reached=lambda value: value < 120
    ),
    "redis_bytes_per_idle_cert": Figure(
        what="record, renewal time and snapshot, of one million", target="≤ 1200", reached=lambda v: v <= 1200
    ),
    "tick_ms_at_1m": Figure(
        what="wake and renewals with one million stored, none due (median)",
        target="< 50",
        reached=lambda v: v < 50,
    ),
    "good_among_dead_s": Figure(
        what="60 dead domains queued, then a good one: its time",
        target="< 3",
        reached=lambda value: value < 3,
    ),
    "k8s_first_s": Figure(
        what="200 Certificates created at once in a cluster, DNS-01: the first is READY",
        target="≤ 1.5",
        reached=lambda v: v <= 1.5,
    ),
    "k8s_200_s": Figure(what="the same: all are READY", target="≤ 7.4", reached=lambda value: value <= 7.4),
    "k8s_http01_s": Figure(
        what="one Certificate by HTTP-01 through nginx, from apply to READY; the slower way",
        target="≤ 3",
        reached=lambda v: v <= 3,
    ),
    "k8s_adopt_10k_s": Figure(
        what="10,000 stored pairs adopted with a new Redis, no order, no write",
        target="< 60",
        reached=lambda v: v < 60,
    ),
    "controller_rss_mb": Figure(
        what="the controller with those 10,000", target="< 150", reached=lambda value: value < 150
    ),
    "flower_rss_mb": Figure(
        what="Flower after 20,000 issuances and a day of ticks",
        target="≤ 150",
        reached=lambda value: value <= 150,
    ),
    "soak_rss_growth_mb": Figure(
        what="the same, CA in the worker: what the process that grew most has grown",
        target="≤ 10",
        reached=lambda value: value <= 10,
    ),
    "cli_get_s": Figure(
        what="`certmill get certificates` of one that is ready, a whole process",
        target="< 0.4",
        reached=lambda v: v < 0.4,
    ),
    "renewal_scan_ms_at_1m": Figure(
        what="500 due renewals found among one million (median)", target="< 50", reached=lambda v: v < 50
    ),
    "fleet_expired": Figure(
        what="a simulated year: living certificates that have expired", target="0", reached=lambda v: v == 0
    ),
    "fleet_429": Figure(
        what="the same: answers 429 of Boulder's limiter", target="0", reached=lambda v: v == 0
    ),
    "fleet_peak_to_mean": Figure(
        what="the same: the busiest day over the mean, incidents apart",
        target="≤ 2",
        reached=lambda v: v <= 2,
    ),
    "mass_revocation_hours": Figure(
        what="the same: until 30 % revoked are replaced; the floor is 0.33",
        target="≤ 0.37",
        reached=lambda v: v <= 0.37,
    ),
    "redis_mb_per_100k": Figure(
        what="the same: the most memory of Redis", target="≤ 120", reached=lambda v: v <= 120
    ),
    "year_wall_s": Figure(what="how long the simulation took"),
}
"""Every key of .bench/latest.json, in order."""


@dataclass(kw_only=True)
class Result:
    """What measurements found: figures by key, and remarks worth knowing."""

    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Result) -> None:
        self.figures |= other.figures
        self.notes += other.notes


def table(result: Result) -> str:
    """The figures in order, each beside its target."""
    width = max(map(len, FIGURES))
    lines = []
    for key, figure in FIGURES.items():
        if key not in result.figures:
            continue
        value = result.figures[key]
        verdict = "" if not figure.target else ("reached" if figure.reached(value) else "NOT reached")
        lines.append(f"{key:<{width}}  {value:>9.4g}  {figure.target:<7} {verdict:<12} {figure.what}")
    head = f"{'figure':<{width}}  {'value':>9}  {'target':<7} {'':<12} what"
    return "\n".join([head, *lines, "", *(f"- {note}" for note in result.notes)])


def write(result: Result, file: Path) -> None:
    """The figures as JSON, in order."""
    file.parent.mkdir(exist_ok=True)
    ordered = {key: round(result.figures[key], 6) for key in FIGURES}
    file.write_text(json.dumps(ordered, indent=2) + "\n")


def machine() -> str:
    """What it ran on, in one line."""
    packages = " ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("celery", "kombu", "redis", "acme", "cryptography")
    )
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    servers = (
        f"Pebble {PEBBLE_VERSION}, BIND {_version(require('named'), '-v')}, Redis "
        f"{_version(find_redis(), '--version')}"
    )
    return (
        f"{cores} cores ({_processor()}), load {load:.2f} at the start; Python {platform.python_version()}; "
        f"{packages}; {servers}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _version(program: Path, flag: str) -> str:
    said = subprocess.run(
        [program, flag], capture_output=True, text=True, check=False, timeout=10
    ).stdout.split()
    return next((word.removeprefix("v=") for word in said if word.removeprefix("v=")[:1].isdigit()), "?")
