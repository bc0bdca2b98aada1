from __future__ import annotations

import random
from collections import Counter

import pytest

from compose.servers.boulder_limits import BoulderLimits
from tests.bench import fleet
from tests.bench.memory import Memory
from tests.bench.year_run import Year, account, peak_to_mean

SIZE = 400
"""In 80 registered domains, the largest with more than 50 names."""


@pytest.fixture
def boulder(boulder_program):
    with BoulderLimits() as limiter:
        yield limiter


def a_launch(redis, boulder, *, limited):
    """All names are new at once."""
    chance = random.Random(1)
    made = fleet.make(SIZE, chance, launch_share=1.0)
    memory = Memory(redis)
    year = Year(redis, boulder, made, spec="", account=account(limited=limited), chance=chance)
    year.clock.advance(fleet.LAUNCH - fleet.START)
    year.run(fleet.LAUNCH + 2 * fleet.DAY, memory)
    return year


def test_a_launch_meets_no_429_because_of_the_budgets(redis, boulder):
    year = a_launch(redis, boulder, limited=True)

    assert year.counts.limited.total() == 0
    assert year.counts.waits > 0
    assert year.counts.issued.total() > 300


def test_without_budgets_the_same_launch_meets_429(redis, boulder):
    year = a_launch(redis, boulder, limited=False)

    assert year.counts.limited.total() > 0


def test_an_outage_of_48_hours_ends_no_certificate(redis, boulder):
    chance = random.Random(1)
    made = [(fleet.START, member) for _, member in fleet.make(SIZE, chance) if member.issued is not None]
    year = Year(redis, boulder, made, spec="", account=account(), chance=chance)
    begins, ends = fleet.OUTAGES[1]
    first, last = (int((at - fleet.START) / fleet.DAY) for at in (begins, ends))
    year.clock.advance(begins - fleet.DAY - fleet.START)
    for member in year.members.values():  # as old as if it had been renewed before
        member.store(year.clock.now() - chance.random() * member.lifetime(begins) * 0.6, f"{id(member):x}")

    year.run(ends + fleet.DAY, Memory(redis))

    assert sum(year.counts.issued[day] for day in range(first, last)) == 0
    assert year.counts.issued[last] > 0
    assert year.expired() == Counter()


def test_days_with_an_incident_do_not_count_for_the_peak():
    issued = dict.fromkeys(range(365), 10) | {30: 900, 61: 900, 290: 900, 100: 20}

    assert peak_to_mean(Counter(issued), 365) == pytest.approx(2.0, rel=0.01)
