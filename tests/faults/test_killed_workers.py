"""Workers killed on every line of every step, messages lost at every step, every message doubled: it costs
time, and at most an order a kill."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from certmill.certificates.reconcile import reconcile_all
from certmill.contract import STEP_NAMES
from certmill.model.names import certificate_id
from certmill.state import keys
from compose.servers.redis import RedisServer
from tests.faults.ledger import orders_by_name
from tests.faults.lives import POINTS, Lives
from tests.support.lab import Lab

# `keep` is called in the middle of these steps only.
KEEPING = ("create_order", "set_up_challenge", "validate", "store_secret")
KILLS = [
    f"kill-{step.replace('_', '-')}-{point}"
    for step in STEP_NAMES
    for point in POINTS
    if point != "in-the-middle" or step in KEEPING
]
LOSSES = [f"lose-{step.replace('_', '-')}" for step in STEP_NAMES]
NOBODY_DIES = "30"
"""Seconds of a lease in tests without a kill: a step that takes longer, on a busy machine, would be done
twice."""
COPIED = [f"copied-{number}" for number in range(6)]
# A step that is killed many times by chance (24 kills in one minute) must not be stopped.
SETTINGS = {
    "step_lease_seconds": "6",
    "step_grace_seconds": "1",
    "worker_concurrency": "4",
    "max_step_attempts": "50",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Servers, beat and responder. The tests start the workers."""
    directory = tmp_path_factory.mktemp("mortal")
    with (
        RedisServer(directory=directory / "redis") as redis,
        Lab(directory=directory, redis_url=redis.url, settings=SETTINGS) as lab,
    ):
        lab.certmill.start(workers=0)
        yield lab


def begin(lab: Lab, names: list[str]) -> None:
    """Write a Certificate for each name to the home, with one DNS-01 name and one HTTP-01 name, and put
    its run among the arrivals. Requests are not used: if a worker is killed with a request, the broker
    delivers it again only after the visibility time-out, minutes later (celery.md §1)."""
    for name in names:
        spec = {
            "secretName": name,
            "dnsNames": [f"{name}.example.test", f"{name}.other.test"],
            "issuerRef": {"name": "prod", "kind": "ClusterIssuer"},
            "privateKey": {"algorithm": "ECDSA"},
        }
        lab.apply(
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Certificate",
                "metadata": {"name": name},
                "spec": spec,
            }
        )
    failed = reconcile_all(lab.runtime.reconciler, {certificate_id("default", name): False for name in names})
    assert failed == {}


def wait_until_issued(lab: Lab, names: list[str]) -> None:
    def under_way() -> dict[str, str]:
        records = {name: lab.record(name) for name in names}
        return {
            name: f"{record.step}: {record.reason}"
            for name, record in records.items()
            if record is not None and record.result != "issued"
        }

    ends = time.monotonic() + 200
    while left := under_way():
        assert time.monotonic() < ends, left
        time.sleep(0.2)


def assert_nothing_is_left(lab: Lab, names: list[str]) -> None:
    assert {name: lab.bind.txt(f"_acme-challenge.{name}.example.test") for name in names} == {
        name: set() for name in names
    }
    assert lab.runtime.redis.hgetall(keys.JOURNAL) == {}
    assert list(lab.runtime.redis.scan_iter("certmill:http01:*")) == []
    assert list(lab.runtime.redis.scan_iter("certmill:lock:order:*")) == []


@pytest.mark.timeout(600)  # takes a minute alone, because each worker process must start
def test_a_worker_killed_on_any_line_of_any_step_costs_at_most_one_order(lab, tmp_path):
    begin(lab, KILLS)

    with Lives(lab.certmill, tmp_path, workers=3) as lives:
        wait_until_issued(lab, KILLS)
        lab.until(
            lambda: len(lives.ends()) >= len(KILLS),
            what="the last is dead, of its own: what we stop is not counted",
        )

    assert set(lives.marks()) == set(KILLS)
    assert [end["ended"] for end in lives.ends()] == [-signal.SIGKILL] * len(lives.marks())
    caught = Counter(
        id_ for steps in lives.marks().values() for id_, step in steps.items() if step == "create_order"
    )
    ordered = orders_by_name(lab.runtime, "prod")
    too_many = {
        name: ordered[f"{name}.example.test"]
        for name in KILLS
        if ordered[f"{name}.example.test"] > 1 + caught[f"default/{name}"]
    }
    assert too_many == {}
    assert_nothing_is_left(lab, KILLS)


def test_every_message_lost_at_any_step_costs_time_only(lab, tmp_path):
    begin(lab, LOSSES)

    with Lives(lab.certmill, tmp_path, workers=1, step_lease_seconds=NOBODY_DIES) as lives:
        wait_until_issued(lab, LOSSES)

    assert set(lives.marks()) == set(LOSSES)
    assert {end["ended"] for end in lives.ends()} == {0}
    assert min(end["lost"] for end in lives.ends()) >= 1
    ordered = orders_by_name(lab.runtime, "prod")
    assert {name: ordered[f"{name}.example.test"] for name in LOSSES} == dict.fromkeys(LOSSES, 1)
    assert_nothing_is_left(lab, LOSSES)


def test_every_message_sent_four_times_changes_nothing(lab, tmp_path):
    begin(lab, COPIED)

    with Lives(lab.certmill, tmp_path, workers=2, copies="4", step_lease_seconds=NOBODY_DIES) as lives:
        wait_until_issued(lab, COPIED)

    assert lives.ends() == []
    ordered = orders_by_name(lab.runtime, "prod")
    assert {name: ordered[f"{name}.example.test"] for name in COPIED} == dict.fromkeys(COPIED, 1)
    assert [lab.status(name).revision for name in COPIED] == [1] * len(COPIED)
    assert_nothing_is_left(lab, COPIED)
