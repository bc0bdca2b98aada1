"""When a renewal may begin: spec.renewal's policy and windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.crypto import chain
from certmill.model.certificate import RenewalPolicy, RenewalWindow
from certmill.model.reason import Reason
from certmill.model.status import CertificateStatus
from certmill.renewal.decision import BackingOff, Issue, Keep, as_requested, decide
from certmill.renewal.observation import observe
from certmill.renewal.plan import RenewalRule, plan
from certmill.renewal.windows import first_open
from tests.support.builders import DAY, NOW, a_certificate, a_pair

WEB = a_certificate()
PAIR = a_pair(WEB)
LEAF = chain.leaf(PAIR.data["tls.crt"])
TWO_THIRDS = NOW + 60 * DAY


def a_window(cron, hours, timezone="UTC"):
    return RenewalWindow(cron=cron, duration=timedelta(hours=hours), timezone=timezone)


def planned(*windows, **fields):
    return plan(a_certificate(renewal_windows=windows, **fields), LEAF, jitter_seconds=0)


def at(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("cron", "hours", "desired", "opens"),
    [
        ("0 4 * * 2", 3, "2026-06-02T03:59:59+00:00", "2026-06-02T04:00:00+00:00"),
        ("0 4 * * 2", 3, "2026-06-02T04:00:00+00:00", "2026-06-02T04:00:00+00:00"),
        ("0 4 * * 2", 3, "2026-06-02T06:59:59+00:00", "2026-06-02T06:59:59+00:00"),
        ("0 4 * * 2", 3, "2026-06-02T07:00:00+00:00", "2026-06-09T04:00:00+00:00"),
        ("0 22 * * *", 4, "2026-06-03T01:30:00+00:00", "2026-06-03T01:30:00+00:00"),
        ("0 1 1 * *", 4, "2026-06-03T01:30:00+00:00", "2026-07-01T01:00:00+00:00"),
    ],
)
def test_a_renewal_begins_when_the_window_opens_or_at_once_if_it_is_open(cron, hours, desired, opens):
    assert first_open([a_window(cron, hours)], at(desired), not_after=at("2027-01-01T00:00:00+00:00")) == at(
        opens
    )


def test_the_window_that_opens_first_counts():
    windows = [a_window("0 4 * * 2", 3), a_window("0 12 * * 3", 3)]

    assert first_open(
        windows, at("2026-06-02T08:00:00+00:00"), not_after=at("2027-01-01T00:00:00+00:00")
    ) == at("2026-06-03T12:00:00+00:00")


@pytest.mark.parametrize(
    ("desired", "opens"),
    [
        ("2026-01-10T00:00:00+00:00", "2026-01-10T03:00:00+00:00"),
        ("2026-07-10T00:00:00+00:00", "2026-07-10T02:00:00+00:00"),
    ],
)
def test_a_window_opens_at_the_local_time_in_winter_and_summer(desired, opens):
    window = a_window("0 4 * * *", 1, "Europe/Berlin")

    assert first_open([window], at(desired), not_after=at("2027-01-01T00:00:00+00:00")) == at(opens)


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    minutes=st.integers(1, 3 * 24 * 60),
    after=st.integers(0, 10 * 86_400),
)
def test_windows_agree_with_a_model_that_looks_at_every_minute(minute, hour, minutes, after):
    """The model: a daily window is open at t if it opened at most `minutes` before."""
    window = RenewalWindow(cron=f"{minute} {hour} * * *", duration=timedelta(minutes=minutes))
    desired = at("2026-06-01T00:00:00+00:00") + after
    found = first_open([window], desired, not_after=desired + 2 * DAY)

    def is_open(when):
        moment = datetime.fromtimestamp(when, UTC)
        opened = moment.replace(hour=hour, minute=minute, second=0)
        opened -= timedelta(days=1) if opened > moment else timedelta()
        return moment - opened < timedelta(minutes=minutes)

    candidates = [desired, *(desired - desired % 60 + 60 * n for n in range(1, 24 * 60 + 1))]
    assert found == next(when for when in candidates if is_open(when))


def test_a_renewal_waits_for_the_next_window_after_two_thirds_of_the_lifetime():
    found = planned(a_window("0 4 * * 2", 3))

    assert found.reason is RenewalRule.WINDOW
    assert TWO_THIRDS < found.instant <= TWO_THIRDS + 7 * DAY
    moment = datetime.fromtimestamp(found.instant, UTC)
    assert (moment.weekday(), moment.hour, moment.minute) == (1, 4, 0)


def test_a_certificate_is_renewed_without_windows_if_none_opens_before_its_expiry():
    found = planned(a_window("0 0 29 2 *", 1))

    assert (found.instant, found.reason) == (pytest.approx(TWO_THIRDS), RenewalRule.NO_WINDOW)


def test_windows_are_applied_after_renew_before():
    found = planned(a_window("30 6 * * *", 1), renew_before=timedelta(days=10))

    assert 0 <= found.instant - (LEAF.not_after - 10 * DAY) <= DAY


class TestDisabled:
    WEB = a_certificate(renewal_policy=RenewalPolicy.DISABLED)

    def decided(self, now, secret=PAIR):
        return decide(observe(self.WEB, secret, CertificateStatus(), ("abc",)), now)

    def test_a_certificate_is_kept_until_its_expiry(self):
        decision = self.decided(LEAF.not_after - 1)

        assert isinstance(decision, Keep)
        assert (decision.renewal.instant, decision.renewal.check_at) == (None, LEAF.not_after)

    def test_an_expired_certificate_is_issued_only_on_request(self):
        decision = self.decided(LEAF.not_after + 1)

        assert isinstance(decision, BackingOff)
        assert decision.violation.reason is Reason.EXPIRED
        assert as_requested(decision, asked=False, ignore_back_off=True) == decision
        assert isinstance(as_requested(decision, asked=True, ignore_back_off=False), Issue)

    def test_a_certificate_without_a_pair_is_issued(self):
        assert isinstance(self.decided(NOW, secret=None), Issue)
