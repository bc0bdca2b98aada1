"""spec.renewal in whole runs: a renewal waits for its window, and with the policy Disabled there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from certmill.model.certificate import RenewalPolicy, RenewalWindow
from certmill.model.trigger import ReconcileOptions
from tests.support.builders import DAY, a_certificate
from tests.support.mill import Mill

TUESDAYS = RenewalWindow(cron="0 4 * * 2", duration=timedelta(hours=3), timezone="America/Chicago")
IN_A_WINDOW = a_certificate(renewal_windows=(TUESDAYS,))
NEVER = a_certificate(renewal_policy=RenewalPolicy.DISABLED)


def a_mill(redis, certificate):
    mill = Mill(redis)
    mill.apply(certificate)
    mill.issue()
    return mill


def renewed(mill, seconds):
    """Whether the tick of renewals begins a run after so many seconds."""
    mill.world.clock.advance(seconds)
    mill.ticks.renew()
    return mill.ports.records.read(mill.certificate.id).step != ""


def test_a_renewal_waits_until_its_window_opens(redis):
    mill = a_mill(redis, IN_A_WINDOW)
    opens = mill.status().renewal_time
    local = datetime.fromtimestamp(opens, UTC)

    assert (local.weekday(), local.hour) in ((1, 9), (1, 10))  # 04:00 in Chicago, in summer and in winter
    assert opens > mill.world.clock.now() + 60 * DAY - 1
    assert not renewed(mill, opens - mill.world.clock.now() - 1)
    assert renewed(mill, 2)


def test_a_change_of_windows_moves_the_renewal_without_a_run(redis):
    mill = a_mill(redis, IN_A_WINDOW)
    serial = mill.world.leaf(mill.certificate).serial

    mill.apply(a_certificate())
    mill.reconciler.reconcile(mill.certificate.id)

    assert mill.status().renewal_time < mill.world.clock.now() + 60 * DAY + 1
    assert mill.world.leaf(mill.certificate).serial == serial


class TestDisabled:
    def test_a_certificate_expires_with_its_conditions_and_without_a_run(self, redis):
        mill = a_mill(redis, NEVER)

        assert mill.status().renewal_time is None
        assert not renewed(mill, 89 * DAY)
        assert not renewed(mill, 2 * DAY)

        ready = mill.status().condition("Ready")
        assert (ready.status, ready.reason) == (False, "Expired")
        assert mill.status().condition("Issuing") is None

    def test_a_certificate_is_issued_again_on_request(self, redis):
        mill = a_mill(redis, NEVER)
        serial = mill.world.leaf(mill.certificate).serial
        renewed(mill, 91 * DAY)

        mill.reconciler.reconcile(mill.certificate.id, ReconcileOptions(force=True))
        mill.run()

        assert mill.world.leaf(mill.certificate).serial != serial
        assert mill.status().condition("Ready").status
