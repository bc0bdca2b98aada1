"""The renewals that `certmill renew --all` has planned, on a real Redis with everything else in memory."""

from __future__ import annotations

import pytest

from certmill.errors import HomeUnavailable
from certmill.model.names import CertificateId
from certmill.upkeep.planned_renewals import AGAIN_SECONDS
from tests.support.builders import a_certificate
from tests.support.mill import Mill

WEB = a_certificate()


@pytest.fixture
def mill(redis):
    """A Certificate that is issued, and due for renewal in weeks."""
    mill = Mill(redis)
    mill.issue()
    return mill


def plan(mill, seconds, certificate=WEB.id):
    mill.ports.planned_renewals.plan({certificate: mill.world.clock.now() + seconds})


def test_a_planned_renewal_begins_at_its_time_and_not_before(mill):
    serial = mill.world.leaf(WEB).serial
    plan(mill, 600)

    assert mill.ticks.renew() == 0
    mill.world.clock.advance(601)
    assert mill.ticks.renew() == 1
    assert mill.record().trigger.value == "manual"
    mill.wake(0)

    assert mill.world.leaf(WEB).serial != serial
    assert mill.ports.planned_renewals.count() == 0


def test_a_planned_renewal_is_done_once(mill):
    plan(mill, 0)

    assert (mill.ticks.renew(), mill.ticks.renew()) == (1, 0)
    mill.wake(0)
    mill.world.clock.advance(2 * AGAIN_SECONDS)
    assert mill.ticks.renew() == 0


def test_a_planned_renewal_is_tried_again_after_the_home_did_not_answer(mill):
    plan(mill, 0)
    observe = mill.ports.home.observe

    def away(certificate):
        raise HomeUnavailable("the home does not answer")

    mill.ports.home.observe = away
    assert mill.ticks.renew() == 1
    mill.ports.home.observe = observe
    mill.world.clock.advance(AGAIN_SECONDS + 1)

    assert mill.ticks.renew() == 1
    assert mill.record().trigger.value == "manual"
    assert mill.ports.planned_renewals.count() == 0


def test_a_planned_renewal_of_a_deleted_certificate_is_dropped(mill):
    plan(mill, 0, CertificateId("default/gone"))

    mill.ticks.renew()

    assert mill.ports.planned_renewals.count() == 0


def test_two_ticks_at_once_do_not_take_the_same_planned_renewal(mill):
    plan(mill, 0)
    now = mill.world.clock.now()

    taken = [mill.ports.planned_renewals.take(now=now, again_at=now + 600, limit=10) for _ in range(2)]

    assert taken == [[WEB.id], []]
