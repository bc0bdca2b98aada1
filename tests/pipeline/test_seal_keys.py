"""CERTMILL_SEAL_KEYS is rotated while runs are in flight: some workers have a key that others do not have."""

from __future__ import annotations

import pytest

from certmill.contract import STEP_NAMES
from certmill.crypto.seal import Seal
from certmill.runs.outcomes import Fail, Proceed, Wait
from tests.support.mill import Mill

OLD, NEW = b"o" * 32, b"n" * 32
STORE = "store_secret"


@pytest.fixture
def mill(redis):
    return Mill(redis)


def as_worker_with(mill, *seal_keys):
    mill.use(seal=Seal(list(seal_keys)))


def sealed_by_a_new_worker(mill):
    as_worker_with(mill, NEW, OLD)
    mill.reconciler.reconcile(mill.certificate.id)
    for name in STEP_NAMES[: STEP_NAMES.index(STORE)]:
        assert isinstance(mill.step(name), Proceed)


def test_a_worker_without_the_key_leaves_the_run_to_another_worker(mill):
    sealed_by_a_new_worker(mill)

    as_worker_with(mill, OLD)
    waits = mill.step(STORE)
    assert isinstance(waits, Wait)
    assert "CERTMILL_SEAL_KEYS" in waits.reason
    as_worker_with(mill, NEW, OLD)
    mill.wake(10)

    assert mill.world.leaf(mill.certificate).dns_names
    assert mill.status().failed_issuance_attempts == 0


def test_a_key_that_no_worker_has_fails_the_run_after_a_quarter_of_an_hour(mill):
    sealed_by_a_new_worker(mill)
    as_worker_with(mill, OLD)
    assert isinstance(mill.step(STORE), Wait)

    mill.world.clock.advance(901)
    (wake_up,) = mill.ticks.wake().wake_ups
    failed = mill.step(wake_up.step)

    assert isinstance(failed, Fail)
    assert "put its key back into CERTMILL_SEAL_KEYS" in failed.message
