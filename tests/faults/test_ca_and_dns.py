"""A CA that is away, in trouble, or talks nonsense, and name servers that answer SERVFAIL, out of order,
slowly, or not at all.

Each case has an issuer or a name of its own, and all of them are begun at once: most of their time is
waiting."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from certmill.client import Handle
from certmill.testing.faulty_ca import Fault, FaultyCA
from certmill.testing.nameserver import Behaviour
from tests.faults.ledger import orders_of
from tests.faults.nameserver import Trouble

DOWN_SECONDS = 30.0
RESOURCES = (
    "/dir",
    "/nonce-plz",
    "/sign-me-up",
    "/order-plz",
    "/authZ/",
    "/chalZ/",
    "/finalize-order/",
    "/my-order/",
    "/certZ/",
)
PROBLEM = {"Content-Type": "application/problem+json"}
SERVER_INTERNAL = b'{"type": "urn:ietf:params:acme:error:serverInternal", "detail": "out of disk"}'

ONCE_AT_EACH_RESOURCE = {
    "answers-500": Fault(status=500, headers=PROBLEM, body=SERVER_INTERNAL),
    "answers-500-of-a-proxy": Fault(status=500, body=b"<html>502 Bad Gateway</html>"),
    "answers-503-retry-after": Fault(status=503, headers={"Retry-After": "1"}, body=b"maintenance"),
    "answers-429": Fault.problem(
        "rateLimited", status=429, detail="too many requests", headers={"Retry-After": "1"}
    ),
    "answers-half-a-document": Fault(
        status=200, headers={"Content-Type": "application/json"}, body=b'{"status": "val'
    ),
    "answers-a-list": Fault.json([1, 2, 3]),
    "cuts-before-the-request": Fault(cut=True),
    "cuts-in-the-answer": Fault(status=200, body=b'{"status": "valid", "identifiers": []}', cut=True),
    "does-not-answer": Fault(hang_seconds=20.0),
    # The CA has done what was requested, but its answer is lost.
    "loses-the-answer": Fault(cut=True, relay=True),
    "does-it-and-answers-500": Fault(status=500, headers=PROBLEM, body=SERVER_INTERNAL, relay=True),
}

TROUBLES = {
    "servfail": (Trouble(behaviour=Behaviour.SERVFAIL), "SERVFAIL"),
    "silent": (Trouble(behaviour=Behaviour.SILENT), "did not answer"),
    "servfail-txt": (Trouble(behaviour=Behaviour.SERVFAIL, txt_only=True), "SERVFAIL"),
    "silent-txt": (Trouble(behaviour=Behaviour.SILENT, txt_only=True), "did not answer"),
}
"""By a label of the name: the misbehaviour of the name servers, and words of the reason for which the
certificate waits."""


@dataclass
class Case:
    """A CA with its fault, and the certificate that was requested from it."""

    ca: FaultyCA
    handle: Handle


def come_back(down, ended):
    """The CA that is down starts half a minute after the certificate has reported it. On a slow machine it
    would otherwise run before the first request."""
    while "127.0.0.1" not in down.handle.status().reason and not ended.wait(0.2):
        pass
    if not ended.wait(DOWN_SECONDS):
        down.ca.up()


@pytest.fixture(scope="module")
def cases(lab):
    """Every CA, and a certificate requested from it."""
    begun = {
        name: FaultyCA(upstream=lab.pebble.directory_url, upstream_ca=lab.pebble.ca_bundle)
        for name in (*ONCE_AT_EACH_RESOURCE, "down")
    }
    for name, ca in begun.items():
        ca.up()
        for resource in RESOURCES if name in ONCE_AT_EACH_RESOURCE else ():
            ca.break_with(ONCE_AT_EACH_RESOURCE[name], on=resource, times=1)
        if name == "down":
            ca.down()
        lab.apply_issuer_behind(ca, name)
    cases = {
        name: Case(ca, lab.request(name, f"{name}.example.test", issuer=name)) for name, ca in begun.items()
    }
    ended = threading.Event()
    back = threading.Thread(target=come_back, args=(cases["down"], ended))
    back.start()
    yield cases
    ended.set()
    back.join()
    for ca in begun.values():
        ca.close()


@pytest.fixture(scope="module", autouse=True)
def looked_up(lab, cases):
    """Every misbehaviour of the name servers, and a certificate for the name that has it. They begin
    together with the cases of the CA."""
    lab.nameserver.troubles |= {label: trouble for label, (trouble, _) in TROUBLES.items()}
    lab.nameserver.troubles["slow"] = Trouble(behaviour=Behaviour.SLOW)
    yield {
        label: lab.request(f"dns-{label}", f"{label}.example.test", f"*.{label}.example.test")
        for label in (*TROUBLES, "slow")
    }
    lab.nameserver.heal(*TROUBLES, "slow")


def test_a_ca_that_is_down_is_waited_for_with_its_reason_and_a_next_time(lab, cases):
    status = lab.until(
        lambda: "127.0.0.1" in (found := cases["down"].handle.status()).reason and found, what="a reason"
    )

    assert status.phase == "waiting"
    assert "connect" in status.reason
    assert status.next_at is not None
    # while the step is tried again, the time is that of this attempt
    assert status.next_at > time.time() - 60


@pytest.mark.parametrize("label", TROUBLES)
def test_while_a_name_server_fails_the_certificate_says_why_it_waits_and_until_when(lab, looked_up, label):
    words = TROUBLES[label][1]
    status = lab.until(
        lambda: words in (found := looked_up[label].status()).reason and found, what=f"waiting: {words}"
    )
    lab.nameserver.heal(label)

    assert status.phase == "waiting"
    assert f"{label}.example.test" in status.reason
    assert status.next_at is not None
    assert time.time() - 60 < status.next_at < time.time() + 300


def test_a_name_server_that_is_slow_or_puts_ns_before_soa_has_answered_all_the_same(lab, looked_up):
    looked_up["slow"].wait(60)

    assert ("example.test", "SOA") in lab.nameserver.asked
    lab.assert_nothing_is_left_of(["slow.example.test"])


@pytest.mark.parametrize("name", ONCE_AT_EACH_RESOURCE)
def test_a_ca_that_fails_once_at_each_resource_issues_in_the_end(lab, cases, name):
    cases[name].handle.wait(100)

    orders = orders_of(lab.runtime, name)
    unasked = {
        resource
        for resource in RESOURCES
        if not any(path.startswith(resource) for _, path in cases[name].ca.requests)
    }
    assert unasked == set()
    assert lab.leaf(name).dns_names == (f"{name}.example.test",)
    assert len(orders) == (
        2 if ONCE_AT_EACH_RESOURCE[name].relay else 1
    )  # the CA created the first order, but its answer was lost
    lab.assert_nothing_is_left_of([f"{name}.example.test"])


def test_a_rate_limit_without_a_time_is_no_failure_and_waits_an_hour(lab):
    with FaultyCA(upstream=lab.pebble.directory_url, upstream_ca=lab.pebble.ca_bundle) as ca:
        ca.break_with(
            Fault.problem("rateLimited", status=429, detail="new orders are paused"), on="/order-plz"
        )
        lab.apply_issuer_behind(ca, "limited")
        handle = lab.request("limited", "limited.example.test", issuer="limited")

        status = lab.until(lambda: "paused" in (found := handle.status()).reason and found, what="the reason")

    assert (status.phase, status.step) == ("waiting", "create_order")
    assert 3000 < status.next_at - time.time() < 4000


def test_a_ca_that_was_down_for_half_a_minute_issues_as_soon_as_it_is_back(lab, cases):
    cases["down"].handle.wait(DOWN_SECONDS + 80)

    assert len(orders_of(lab.runtime, "down")) == 1
    assert lab.status("down").condition("Ready").status


@pytest.mark.parametrize("label", TROUBLES)
def test_when_the_name_server_is_well_again_the_certificate_is_issued(lab, looked_up, label):
    looked_up[label].wait(100)

    lab.assert_nothing_is_left_of([f"{label}.example.test"])


def test_no_worker_has_died_of_it(lab, cases):
    assert None not in lab.pids().values()
