"""A renewal that does not succeed: the condition, the event and the metric of each level, on a real Redis
with everything else in memory."""

from __future__ import annotations

from functools import partial

import pytest

from certmill.errors import NameRefused, RateLimited
from certmill.home.base import NoEvents
from certmill.model.certificate import RenewalPolicy
from certmill.observe.certificate_gauges import certificates_text
from certmill.state import keys
from tests.pipeline.faulty_client import with_faults
from tests.support.builders import DAY, a_certificate
from tests.support.mill import Mill
from workers.admin.exporter import risk_at

WEB = a_certificate()
NEVER = a_certificate(renewal_policy=RenewalPolicy.DISABLED)


class Recorded(NoEvents):
    """Remembers the events about the risk."""

    def __init__(self) -> None:
        self.found: list[tuple[str, bool]] = []

    def record_event(self, certificate, reason, message, *, warning=False):
        if "risk" in reason.lower() or reason == "Critical":
            self.found.append((reason, warning))


@pytest.fixture
def events():
    return Recorded()


def issued(redis, events, certificate=WEB):
    mill = Mill(redis, events=events)
    mill.use(jitter=lambda: 0.999)
    mill.apply(certificate)
    leaf = mill.issue()
    return mill, leaf


def risk_in(mill):
    found = mill.status().condition("AtRisk")
    return found and found.reason


def check_next(mill, redis):
    """Let time pass until the next check, and do it. Returns the share of life that has passed then."""
    at = redis.zscore(keys.RENEWALS, WEB.id)
    mill.world.clock.advance(max(0.0, at - mill.world.clock.now()) + 0.001)
    mill.ticks.renew()
    status = mill.status()
    return (mill.world.clock.now() - status.not_before) / (status.not_after - status.not_before)


def metrics(mill):
    """{level: number of certificates}, and the levels of the series of single certificates."""
    gauges, now = mill.ports.gauges.read()[0], mill.world.clock.now()
    lines = "".join(certificates_text(gauges, now=now, risk_of=partial(risk_at, now))).splitlines()
    counts = {
        line.split('"')[1]: float(line.split()[-1])
        for line in lines
        if line.startswith("certmill_certificates_at_risk{")
    }
    single = [
        line.split('level="')[1][:-4] for line in lines if line.startswith("certmill_certificate_risk{")
    ]
    return counts, single


def test_each_level_begins_at_its_instant_where_nothing_else_happens(redis, events):
    mill, _ = issued(redis, events, NEVER)

    assert check_next(mill, redis) == pytest.approx(2 / 3, abs=1e-4)
    assert (risk_in(mill), events.found) == ("AtRisk", [("AtRisk", True)])
    assert metrics(mill) == ({"at-risk": 1, "critical": 0}, ["at-risk"])

    assert check_next(mill, redis) == pytest.approx(9 / 10, abs=1e-4)
    assert (risk_in(mill), events.found) == ("Critical", [("AtRisk", True), ("Critical", True)])
    assert metrics(mill) == ({"at-risk": 0, "critical": 1}, ["critical"])

    assert check_next(mill, redis) == pytest.approx(1, abs=1e-4)
    assert "expired" in mill.status().condition("AtRisk").message
    assert len(events.found) == 2


def test_an_ordinary_renewal_reports_no_risk(redis, events):
    mill, _ = issued(redis, events)

    check_next(mill, redis)
    assert mill.record().step
    mill.run("register_account")

    assert (risk_in(mill), events.found) == (None, [])
    assert metrics(mill) == ({"at-risk": 0, "critical": 0}, [])


def fail_until(mill, redis, share):
    """Renewals fail until this share of the life has passed. Returns the shares at which a check was due."""
    with_faults(mill, new_order=[NameRefused("web.example.test: no CAA")] * 1000)
    shares = []
    while not shares or shares[-1] < share:
        shares.append(check_next(mill, redis))
        if mill.record().step:
            mill.run("register_account")
    return shares


def test_failures_raise_the_level_once_each_and_at_its_instant(redis, events):
    mill, leaf = issued(redis, events)
    renewal = (mill.status().renewal_time - leaf.not_before) / (leaf.not_after - leaf.not_before)

    shares = fail_until(mill, redis, 0.95)

    assert events.found == [("AtRisk", True), ("Critical", True)]
    assert risk_in(mill) == "Critical"
    assert any(share == pytest.approx(renewal + 1 / 100, abs=1e-5) for share in shares)
    assert any(share == pytest.approx(9 / 10, abs=1e-5) for share in shares)


def test_a_new_pair_ends_the_risk(redis, events):
    mill, _ = issued(redis, events)
    fail_until(mill, redis, 0.95)

    mill.wrap_clients(lambda client: client)
    check_next(mill, redis)
    mill.run("register_account")

    assert risk_in(mill) is None
    assert events.found[2:] == [("NotAtRisk", False)]


def test_a_run_that_waits_shows_a_new_level_at_its_instant(redis, events):
    mill, leaf = issued(redis, events)
    check_next(mill, redis)
    with_faults(mill, new_order=[RateLimited("too many", retry_after=6 * DAY)] * 5)
    result = mill.run("register_account")

    at_risk = mill.status().renewal_time + (leaf.not_after - leaf.not_before) / 100
    assert mill.world.clock.now() + result.seconds == pytest.approx(at_risk, abs=1)
    assert risk_in(mill) is None
    mill.wake(result.seconds + 1)

    assert risk_in(mill) == "AtRisk"
    assert events.found == [("AtRisk", True)]
