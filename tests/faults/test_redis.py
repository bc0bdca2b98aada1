"""Redis killed and frozen under two workers and two beats with certificates at every step: all are issued, no
order is doubled, nobody dies."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from certmill.client import Handle, IssuanceFailed
from certmill.state import keys
from certmill.testing.nameserver import Behaviour
from tests.faults.ledger import orders_by_name
from tests.faults.nameserver import Trouble

FROZEN_SECONDS = 20.0
AWAY_SECONDS = 3.0


def names(prefix: str, count: int = 12) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def begin(lab, wanted: list[str]) -> list[Handle]:
    """Request all of them. Half wait for DNS; the others are at any step."""
    lab.nameserver.troubles.update(
        dict.fromkeys(wanted[::2], Trouble(behaviour=Behaviour.SERVFAIL, txt_only=True))
    )
    handles = [lab.request(name, f"{name}.example.test") for name in wanted]
    lab.until(
        lambda: sum(lab.record(name) is not None for name in wanted) == len(wanted), what="all have begun"
    )
    return handles


def assert_all_issued(lab, handles: list[Handle], wanted: list[str], *, extra: int) -> None:
    lab.nameserver.heal(*wanted)
    for handle in handles:
        handle.wait(90)
    ordered = orders_by_name(lab.runtime, "prod")
    assert {
        name: ordered[f"{name}.example.test"]
        for name in wanted
        if not 1 <= ordered[f"{name}.example.test"] <= 1 + extra
    } == {}
    lab.assert_nothing_is_left_of([f"{name}.example.test" for name in wanted])


def test_redis_killed_in_mid_flight_and_started_again_from_its_file(lab):
    before, wanted = lab.pids(), names("killed-redis")
    handles = begin(lab, wanted)

    lab.redis.kill()
    time.sleep(AWAY_SECONDS)
    lab.redis.start()

    assert_all_issued(lab, handles, wanted, extra=1)
    assert lab.pids() == before


def test_all_are_issued_after_redis_was_frozen_for_twenty_seconds(lab):
    before, wanted = lab.pids(), names("frozen-redis")
    handles = begin(lab, wanted)
    by_http = [
        lab.request(f"frozen-http-{number}", f"frozen-http-{number}.other.test") for number in range(4)
    ]
    lab.until(lambda: lab.record("frozen-http-0") is not None, what="begun")

    lab.redis.freeze()
    time.sleep(FROZEN_SECONDS)
    lab.redis.thaw()

    assert_all_issued(lab, handles, wanted, extra=1)
    for handle in by_http:  # the responder had no token: if the CA requested it then, the name was refused
        with suppress(IssuanceFailed):
            handle.wait(90)  # a request that was lost with the frozen connection is sent again
        status = handle.status()
        assert status.phase == "issued" or (
            status.reason and status.next_at and status.next_at > time.time()
        ), status
    assert lab.pids() == before
    assert lab.issue("after-the-frost", "after-the-frost.example.test")


def test_flushall_costs_an_order_more_at_most_and_the_sweep_finds_every_value(lab):
    """40 certificates, half of them waiting for DNS, the others at any step."""
    before, wanted = lab.pids(), names("flushed", 40)
    begin(lab, wanted)
    lab.until(
        lambda: sum(bool(lab.bind.txt(f"_acme-challenge.{name}.example.test")) for name in wanted) >= 20,
        what="values are up",
    )

    lab.runtime.redis.flushall()
    lab.nameserver.heal(*wanted)

    lab.until(
        lambda: all(lab.status(name).revision == 1 for name in wanted), seconds=120, what="all are issued"
    )
    lab.until(lambda: not any(lab.record(name).step for name in wanted), what="every run has cleaned up")
    ordered = orders_by_name(lab.runtime, "prod")
    counts = [ordered[f"{name}.example.test"] for name in wanted]
    left = [name for name in wanted if lab.bind.txt(f"_acme-challenge.{name}.example.test")]
    print(
        f"FLUSHALL in mid-run: {sum(counts)} orders for {len(wanted)} certificates, {len(left)} values left "
        "for the sweep"
    )
    assert max(counts) <= 2
    swept_later(lab)
    lab.assert_nothing_is_left_of([f"{name}.example.test" for name in wanted])
    assert lab.runtime.redis.hlen(keys.LOST_ORDERS) == 0
    assert lab.pids() == before


class Later:
    """The clock of an hour from now."""

    def now(self):
        return time.time() + 3600

    def monotonic(self):
        return time.monotonic()

    def pause(self, seconds):
        time.sleep(seconds)


def swept_later(lab):
    """Run the next hourly sweep."""
    ports = replace(lab.runtime.ports, clock=Later())
    lab.runtime.with_ports(ports).ticks.sweep("the next hour's")


def test_two_workers_and_two_beats_issue_each_certificate_once(lab):
    wanted = names("twice", 16)

    for handle in [lab.request(name, f"{name}.example.test") for name in wanted]:
        handle.wait(60)

    ordered = orders_by_name(lab.runtime, "prod")
    assert {name: ordered[f"{name}.example.test"] for name in wanted} == dict.fromkeys(wanted, 1)
    assert [lab.status(name).revision for name in wanted] == [1] * len(wanted)
    assert None not in lab.pids().values()
