"""fleet_…, mass_revocation_hours, redis_mb_per_100k and year_wall_s: a simulated year of 100,000 certificates
against Boulder's own limiter (tests.bench.year_run). For fewer: `python -m tests.bench.year --fleet 9000`."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from compose.servers.boulder_limits import BoulderLimits
from tests.bench.figures import Result, table
from tests.bench.fleet import DAY, REVOCATION, REVOKED_SHARE, START, YEAR, make
from tests.bench.ground import Ground, Installation
from tests.bench.in_process import issue
from tests.bench.memory import Memory
from tests.bench.year_run import Year, account, peak_to_mean

SIZE: Final = 100_000
REQUESTS_EACH: Final = 10
REQUESTS_PER_SECOND: Final = 250
"""What Let's Encrypt takes from one IP address, and about how many a certificate needs. It is the floor of a
mass revocation: the same names as before are exempt from the limits of the account and of the domain, and the
exact set has tokens."""
_AT_ONCE: Final = 5000


def measure(ground: Ground, size: int = SIZE) -> Result:
    """Simulate the year. Raises RuntimeError if Redis has other records than a run leaves."""
    with ground.installation("year", appendonly=False) as installation, BoulderLimits() as boulder:
        client = installation.redis
        record = _issued(installation)
        memory = Memory(client)
        began = time.monotonic()
        chance = random.Random(1)
        made = make(size, chance)
        year = Year(client, boulder, made, spec=record["spec"], account=account(), chance=chance)
        _fill(installation, year.members, record)
        year.run(START + YEAR, memory)
        took = time.monotonic() - began
    counts, expired = year.counts, year.expired()
    hours, floor = (counts.replaced_at - REVOCATION) / 3600, floor_hours(size)
    figures = {
        "fleet_expired": float(expired.total()),
        "fleet_429": float(counts.limited.total()),
        "fleet_peak_to_mean": peak_to_mean(counts.issued, int(YEAR / DAY)),
        "mass_revocation_hours": hours,
        "redis_mb_per_100k": memory.peak / 1e6 * 100_000 / size,
        "year_wall_s": took,
    }
    notes = [
        (
            f"year: {size} certificates; {counts.issued.total()} issued, {counts.failures} failed, "
            f"{counts.waits} waits for a token; 429: {dict(counts.limited)}"
        ),
        (
            f"year: expired: {dict(expired)}; the floor of the mass revocation is {floor:.2f} h; the busiest "
            f"days: {dict(counts.issued.most_common(12))}"
        ),
    ]
    return Result(figures=figures, notes=notes)


def floor_hours(size: int) -> float:
    """The least hours in which Let's Encrypt can replace the revoked certificates."""
    return size * REVOKED_SHARE * REQUESTS_EACH / REQUESTS_PER_SECOND / 3600


def _issued(installation: Installation) -> dict[str, str]:
    """The record of a certificate that was really issued."""
    certificate = issue(installation, "year")
    installation.runtime.ticks.reread(owner="bench")
    return cast("dict[str, str]", installation.redis.hgetall(keys.record(certificate)))


def _fill(installation: Installation, members: Iterable[CertificateId], record: dict[str, str]) -> None:
    """Give every member what a run leaves in Redis."""
    client: redis.Redis = installation.redis
    real = CertificateId("default/year")
    seen = {
        keys.SIGHTINGS: client.hget(keys.SIGHTINGS, f"Certificate/{real}"),
        keys.CERTIFICATE_GAUGES: client.hget(keys.CERTIFICATE_GAUGES, real),
    }
    names, pairs = list(members), [part for item in record.items() for part in item]
    for start in range(0, len(names), _AT_ONCE):
        with client.pipeline(transaction=False) as pipe:
            for name in names[start : start + _AT_ONCE]:
                pipe.hset(keys.record(name), items=pairs)
                for key, value in seen.items():
                    if value is not None:
                        pipe.hset(key, f"Certificate/{name}" if key == keys.SIGHTINGS else name, value)
            pipe.execute()
    if client.object("encoding", keys.record(names[0])) != client.object("encoding", keys.record(real)):
        raise RuntimeError("the copies are not like the record that was really issued")
    client.zrem(keys.RENEWALS, real)


def main() -> None:
    """Print the figures of this measurement alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.year", description="Simulate a year.")
    parser.add_argument("--fleet", type=int, default=SIZE, help="how many certificates")
    size = parser.parse_args().fleet
    with tempfile.TemporaryDirectory() as directory, Ground(directory=Path(directory)) as ground:
        print(table(measure(ground, size)))


if __name__ == "__main__":
    main()
