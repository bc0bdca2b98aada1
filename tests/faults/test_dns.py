"""Name servers that answer SERVFAIL, out of order, slowly, or not at all: each name has its own trouble, and all of them run at once."""

from __future__ import annotations

import time

import pytest

LASTING = {
    # label: fault, and what the certificate waits for
    "servfail": ("servfail", "SERVFAIL"),
    "silent": ("silent", "not answer"),
    "servfail-txt": ("txt-servfail", "SERVFAIL"),
    "silent-txt": ("txt-silent", "not answer"),
}
BEARABLE = {"ns-first": "ns-first", "ns-first-again": "ns-first", "slow": "slow"}


@pytest.fixture(scope="module")
def handles(lab):
    """Every case begun at once."""
    lab.nameserver.faults.update({label: fault for label, (fault, _) in LASTING.items()} | BEARABLE)
    yield {label: lab.request(f"dns-{label}", f"{label}.example.test", f"*.{label}.example.test") for label in (*LASTING, *BEARABLE)}
    lab.nameserver.heal(*LASTING, *BEARABLE)


@pytest.mark.parametrize("label", LASTING)
def test_while_it_lasts_the_certificate_says_why_it_waits_and_until_when(lab, handles, label):
    status = lab.until(lambda: (found := handles[label].status()).phase == "waiting" and found, seconds=30)

    assert LASTING[label][1] in status.reason
    assert f"{label}.example.test" in status.reason
    assert status.next_at is not None
    assert time.time() - 10 < status.next_at < time.time() + 300


@pytest.mark.parametrize("label", BEARABLE)
def test_an_answer_that_is_slow_or_out_of_order_is_an_answer(lab, handles, label):
    handles[label].wait(60)

    lab.assert_nothing_is_left_of([f"{label}.example.test"])


@pytest.mark.parametrize("label", LASTING)
def test_when_it_is_over_the_certificate_is_issued(lab, handles, label):
    lab.nameserver.heal(label)

    handles[label].wait(100)

    lab.assert_nothing_is_left_of([f"{label}.example.test"])
