"""The renewal time that the CA suggests: uniform in its window, stable, and never one that cannot be
right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.crypto import chain
from certmill.model.ari import AriStatus
from certmill.model.certificate import RenewalPolicy, RenewalWindow
from certmill.model.history import PastRun
from certmill.model.status import CertificateStatus
from certmill.renewal import ari
from certmill.renewal.decision import BackingOff, Issue, Keep, decide
from certmill.renewal.observation import observe
from certmill.renewal.plan import RenewalRule, plan
from tests.support.builders import DAY, NOW, a_certificate, a_pair

HOUR = 3600.0
WEB = a_certificate()
PAIR = a_pair(WEB)
LEAF = replace(chain.leaf(PAIR.data["tls.crt"]), serial="1", cert_id="aki.serial")
START, END = NOW + 60 * DAY, NOW + 62 * DAY
SUGGESTED = AriStatus(cert_id="aki.serial", start=START, end=END, last_checked=NOW + HOUR)
PAST = replace(SUGGESTED, start=NOW + DAY, end=NOW + DAY + HOUR, last_checked=NOW + 2 * DAY, at_once=True)
SUNDAYS = RenewalWindow(cron="0 3 * * 0", duration=timedelta(hours=2))


def planned(suggested=SUGGESTED, *, leaf=LEAF, **spec):
    return plan(replace(WEB, **spec), leaf, ari=suggested, jitter_seconds=3600)


@given(serial=st.integers(1, 2**159), start=st.integers(0, 80 * 86_400), length=st.integers(1, 5 * 86_400))
def test_the_renewal_is_in_the_window_and_the_same_in_each_process(serial, start, length):
    leaf = replace(LEAF, serial=f"{serial:x}")
    suggested = replace(SUGGESTED, start=NOW + start, end=NOW + start + length)

    found = planned(suggested, leaf=leaf)

    assert suggested.start <= found.instant < suggested.end
    assert found == planned(suggested, leaf=replace(leaf))
    assert (found.reason, found.check_at) == (RenewalRule.ARI, found.instant)


def test_the_renewals_of_many_certificates_are_uniform_in_the_window():
    tenths = [0] * 10
    for serial in range(2000):
        found = planned(leaf=replace(LEAF, serial=f"{serial:x}")).instant
        tenths[int(10 * (found - START) / (END - START))] += 1

    assert sum((count - 200) ** 2 / 200 for count in tenths) < 27.9, "chi-squared, 9 degrees, p = 0.001"


def test_the_renewal_moves_with_the_window_and_only_with_it():
    answered_again = replace(SUGGESTED, last_checked=NOW + DAY, next_check=NOW + 2 * DAY, last_error="x")
    moved = replace(SUGGESTED, start=START - 9 * DAY, end=END - 9 * DAY)

    assert planned(answered_again) == planned()
    assert planned(moved).instant == pytest.approx(planned().instant - 9 * DAY)


def test_a_window_of_the_ca_comes_before_renew_before():
    assert planned(renew_before=timedelta(days=1)) == planned()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None),
        (NOW + 85 * DAY, NOW + 91 * DAY),
        (NOW + 84 * DAY, NOW + 86 * DAY),
        (NOW - 40 * DAY, NOW + 60 * DAY),
        (END, START),
    ],
)
def test_a_window_that_cannot_be_right_leaves_it_to_the_lifetime(start, end):
    """It ends after the expiry or shortly before it, is longer than the lifetime, or ends before it
    starts."""
    assert planned(replace(SUGGESTED, start=start, end=end)) == planned(None)
    assert planned(None).reason is RenewalRule.TWO_THIRDS


def test_without_renewals_the_window_of_the_ca_counts_for_nothing():
    assert planned(PAST, renewal_policy=RenewalPolicy.DISABLED).instant is None


def test_the_renewal_is_in_the_windows_of_the_ca_and_of_the_spec():
    nightly = RenewalWindow(cron="0 3 * * *", duration=timedelta(hours=2))

    found = planned(renewal_windows=(nightly,))

    assert START <= found.instant <= END
    assert found.reason is RenewalRule.WINDOW
    assert 3 * HOUR <= found.instant % DAY < 5 * HOUR


def test_if_both_are_never_open_together_the_next_of_the_spec_counts():
    found = planned(replace(SUGGESTED, end=START + HOUR), renewal_windows=(SUNDAYS,))

    assert START + HOUR < found.instant <= START + 7 * DAY
    assert found.reason is RenewalRule.WINDOW


def test_a_renewal_at_once_does_not_wait_for_the_windows_of_the_spec():
    found = planned(PAST, renewal_windows=(SUNDAYS,))

    assert PAST.start <= found.instant <= PAST.end
    assert found.reason is RenewalRule.ARI_PAST


class TestWhoseInformationItIs:
    status = CertificateStatus(not_before=LEAF.not_before, not_after=LEAF.not_after, ari=SUGGESTED)

    def test_that_of_the_certificate_counts(self):
        assert ari.known(self.status, LEAF) == SUGGESTED

    def test_that_of_another_certificate_does_not(self):
        assert ari.known(self.status, replace(LEAF, cert_id="aki.other")) is None

    def test_without_an_id_the_validity_in_the_status_says_it(self):
        status = replace(self.status, ari=replace(SUGGESTED, cert_id=""))

        assert ari.known(status, LEAF) is not None
        assert ari.known(replace(status, not_after=NOW), LEAF) is None
        assert ari.known(replace(status, last_issuance_time=NOW + 2 * HOUR), LEAF) is None

    def test_a_certificate_without_an_id_has_none(self):
        assert ari.known(self.status, replace(LEAF, cert_id="")) is None


class TestAWindowInThePast:
    status = CertificateStatus(ari=replace(PAST, cert_id=""), not_before=NOW, not_after=NOW + 90 * DAY)

    def decided(self, now, **status):
        observation = observe(WEB, PAIR, replace(self.status, **status), ("abc",))
        return decide(replace(observation, leaf=LEAF), now)

    def test_begins_a_renewal_and_says_why(self):
        status = replace(self.status.ari, explanation_url="https://ca.example/why")

        found = self.decided(NOW + 3 * DAY, ari=status)

        assert isinstance(found, Issue)
        assert found.violation.reason == "Renewing"
        assert found.violation.message == (
            "Renewing certificate at once as the ARI window of the CA is in the past, which ended at "
            "2027-01-16 09:00:00 UTC; see https://ca.example/why"
        )

    @pytest.mark.parametrize(
        "issued",
        [
            {"last_issuance_time": NOW + 2 * DAY - 60},
            {"history": (PastRun(at=NOW + 2 * DAY - 60, issued=True),)},
        ],
    )
    def test_does_not_make_an_order_after_each_issue(self, issued):
        found = self.decided(NOW + 2 * DAY, **issued)

        assert isinstance(found, BackingOff)
        assert found.until == NOW + 2 * DAY - 60 + HOUR

    def test_is_not_used_if_the_issuer_has_it_switched_off(self):
        observation = observe(WEB, PAIR, self.status, ("abc",), uses_ari=False)

        assert isinstance(decide(replace(observation, leaf=LEAF), NOW + 3 * DAY), Keep)


class TestTheNextRequest:
    def test_the_first_ones_are_spread_over_an_hour(self):
        times = [ari.first_check(replace(LEAF, serial=f"{n:x}"), NOW) - NOW for n in range(100)]

        assert min(times) >= 60
        assert 3000 < max(times) <= 3660

    def test_of_a_short_life_the_first_one_is_soon(self):
        assert ari.first_check(replace(LEAF, not_after=NOW + 600), NOW) - NOW <= 60

    def test_what_the_status_has_is_used_when_redis_has_lost_it(self):
        known = replace(SUGGESTED, next_check=NOW + 5 * HOUR)

        assert ari.check_again(known, LEAF, NOW) == NOW + 5 * HOUR
        assert ari.check_again(replace(known, next_check=NOW + 9 * DAY), LEAF, NOW) == NOW + DAY
        assert ari.check_again(None, LEAF, NOW) == ari.first_check(LEAF, NOW)

    @given(retry_after=st.floats(60, 86_400), jitter=st.floats(0, 1, exclude_max=True))
    def test_is_never_earlier_than_the_ca_asks_for(self, retry_after, jitter):
        assert retry_after <= ari.after_answer(retry_after, jitter) <= 1.1 * retry_after

    def test_after_failures_the_wait_doubles_up_to_six_hours(self):
        now, waits = NOW, []
        failed = None
        for _ in range(12):
            waits.append(ari.after_failure(failed, now, 0.0, retry_after=None))
            failed = failed or replace(SUGGESTED, last_error="down", last_checked=NOW)
            now += waits[-1]

        assert waits[:4] == [60, 60, 120, 240]
        assert waits[-1] == 6 * HOUR

    def test_after_a_failure_the_ca_may_ask_for_longer_up_to_a_day(self):
        assert ari.after_failure(None, NOW, 0.0, retry_after=7200) == 7200
        assert ari.after_failure(None, NOW, 0.0, retry_after=9e9) == DAY
