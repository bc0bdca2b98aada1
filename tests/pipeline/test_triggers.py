"""The record stores what began a run, and every run has its own root."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.contract import STEP_NAMES
from certmill.errors import NameRefused
from certmill.model.trigger import Trigger
from certmill.state import keys
from tests.pipeline.faulty_client import with_faults
from tests.support.builders import DAY, NOW, a_certificate
from tests.support.mill import Mill

WEB = a_certificate()


def begun(mill):
    """(root, trigger) of the run in progress, as its first message has them."""
    (wake_up,) = mill.ports.records.wake_ups([WEB.id])
    assert wake_up.step == STEP_NAMES[0]
    return wake_up.root_id, wake_up.trigger


def test_a_run_that_a_manifest_began_has_its_first_task_as_root(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)

    (wake_up,) = mill.ports.records.wake_ups([WEB.id])

    assert (wake_up.trigger, wake_up.task_id) == (Trigger.MANIFEST, wake_up.root_id)
    assert wake_up.root_id


def test_a_renewal_has_its_trigger_and_another_root_than_the_run_before(redis):
    mill = Mill(redis)
    mill.issue()
    mill.world.clock.advance(62 * DAY)
    mill.ticks.renew()
    first, trigger = begun(mill)
    mill.run()
    mill.world.clock.advance(62 * DAY)
    mill.ticks.renew()

    assert trigger is Trigger.RENEWAL
    assert begun(mill)[0] != first


def test_a_request_is_the_root_of_its_run(redis):
    mill = Mill(redis)
    mill.handler.renew({"name": "web"}, request_id="asked")

    assert begun(mill) == ("asked", Trigger.MANUAL)


def test_a_renewal_that_is_asked_for_during_a_run_is_the_root_of_the_next(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    for step in STEP_NAMES:
        if step == "finalize":
            mill.handler.renew({"name": "web"}, request_id="asked")
        mill.step(step)

    assert begun(mill) == ("asked", Trigger.MANUAL)
    assert redis.hmget(keys.record(WEB.id), "next_trigger", "next_root") == [None, None]


def test_a_run_that_repeats_a_failed_one_keeps_its_trigger(redis):
    mill = with_faults(Mill(redis), new_order=[NameRefused("not here")])
    mill.handler.renew({"name": "web"}, request_id="asked")
    mill.run()
    mill.world.clock.advance(DAY)

    assert mill.ticks.renew() == 1
    root, trigger = begun(mill)
    assert trigger is Trigger.MANUAL
    assert root not in ("", "asked")


@pytest.mark.parametrize("written", [None, "", "of-a-later-release"])
def test_a_record_of_another_release_has_an_unknown_trigger(redis, written):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    if written is None:
        redis.hdel(keys.record(WEB.id), "trigger")
    else:
        redis.hset(keys.record(WEB.id), "trigger", written)

    assert mill.record().trigger is Trigger.UNKNOWN
    assert begun(mill)[1] is Trigger.UNKNOWN


def test_after_a_failure_a_changed_manifest_begins_the_next_run(redis):
    mill = with_faults(Mill(redis), new_order=[NameRefused("not here")])
    mill.handler.renew({"name": "web"}, request_id="asked")
    mill.run()
    mill.apply(replace(WEB, dns_names=("other.example.com",)))
    mill.reconciler.reconcile(WEB.id)

    assert begun(mill)[1] is Trigger.MANIFEST


def test_a_run_requested_while_the_one_before_was_read_is_not_lost(redis):
    """Two workers reconcile at the same time: the run of one ends with a rerun reason, before the other
    stores what it observed."""
    mill = Mill(redis)
    mill.issue()
    read = mill.ports.home.observe

    def run_ends(certificate):
        redis.hset(keys.record(WEB.id), "again", "changed")
        return read(certificate)

    mill.ports.home.observe = run_ends
    mill.reconciler.reconcile(WEB.id)

    assert mill.ports.records.again(WEB.id) == "changed"
    assert mill.ports.due.renewals(now=NOW, limit=9) == [WEB.id]
