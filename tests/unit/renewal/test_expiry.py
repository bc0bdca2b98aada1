"""A certificate whose renewal fails is tried often enough to be issued before it expires."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.certificates import conditions
from certmill.crypto import chain
from certmill.errors import CAUnavailable, NameRefused
from certmill.model.status import CertificateStatus
from certmill.renewal.decision import BackingOff, Issue, decide
from certmill.renewal.observation import observe
from certmill.runs import backoff
from certmill.runs.backoff import Validity, next_attempt
from certmill.runs.facts import Failure
from tests.support.builders import DAY, NOW, a_certificate, a_pair

HOUR = 3600.0
TICK = 60.0
"""How often certificates whose time has come are looked for."""

WEB = a_certificate()
REFUSED = NameRefused("web.example.test answered 404")


def pair_of(lifetime):
    return a_pair(WEB, days=lifetime / DAY)


def issued_at(pair, seed, *, repaired_before_expiry, error=REFUSED):
    """Play failures from the renewal on, as the pipeline decides, until an attempt after the repair; when
    that one begins."""
    jitter, leaf = random.Random(seed), chain.leaf(pair.data["tls.crt"])
    status, spec = CertificateStatus(not_before=leaf.not_before, not_after=leaf.not_after), "abc"
    repaired = leaf.not_after - repaired_before_expiry
    observation = observe(WEB, pair, status, (spec,))
    now = observation.renewal.instant
    validity = Validity(not_before=leaf.not_before, not_after=leaf.not_after)
    while True:
        decision = decide(replace(observation, status=status), now)
        if isinstance(decision, BackingOff):
            now = decision.until + jitter.random() * TICK
            continue
        assert isinstance(decision, Issue)
        if now >= repaired:
            return now
        delay = backoff.run_delay(error, status.failed_issuance_attempts + 1, jitter.random())
        at = next_attempt(delay, failed_at=now, validity=validity).at
        failure = Failure(failure_class=error.failure_class, message=str(error), next_attempt=at)
        status = conditions.failed(status, failure, spec=spec, run=f"1@{now}", now=now)


@pytest.mark.parametrize("hours", [24, 12, 2])
def test_a_name_that_is_repaired_hours_before_the_expiry_is_never_late(hours):
    pair = pair_of(90 * DAY)
    expires = NOW + 90 * DAY

    late = [
        seed for seed in range(48) if issued_at(pair, seed, repaired_before_expiry=hours * HOUR) >= expires
    ]

    assert late == []


PAIRS = {lifetime: pair_of(lifetime) for lifetime in (90 * DAY, 6 * DAY, 10 * HOUR, HOUR)}


@given(seed=st.integers(0, 2**32), lifetime=st.sampled_from(sorted(PAIRS)), share=st.floats(0.0, 0.33))
def test_the_first_attempt_after_a_repair_comes_within_the_documented_bound(seed, lifetime, share):
    expires, least = NOW + lifetime, min(12 * 60.0, lifetime / 100)
    before = least + TICK + share * (lifetime / 3 - least - TICK)

    at = issued_at(PAIRS[lifetime], seed, repaired_before_expiry=before)

    assert at - (expires - before) <= max(before / 7, least) + TICK
    assert at < expires


@given(
    delay=st.floats(0, 40 * DAY),
    age=st.floats(-1, 1.5),
    lifetime=st.floats(60, 3650 * DAY),
)
def test_a_hold_is_at_most_an_eighth_of_the_remaining_life_and_ends_at_expiry(delay, age, lifetime):
    validity = Validity(not_before=NOW, not_after=NOW + lifetime)
    failed_at = NOW + age * lifetime
    remaining = validity.not_after - failed_at

    at = next_attempt(delay, failed_at=failed_at, validity=validity).at

    if remaining <= 0:
        assert at == failed_at + delay
    else:
        assert failed_at <= at <= min(failed_at + delay + 0.001, validity.not_after)
        assert at - failed_at <= max(remaining / 8, validity.least_delay) + 0.001
    assert next_attempt(at - failed_at, failed_at=failed_at, validity=validity).at == pytest.approx(at)


def test_an_attempt_says_what_decided_its_time():
    validity = Validity(not_before=NOW, not_after=NOW + 90 * DAY)

    def reason(delay, left):
        return next_attempt(delay, failed_at=validity.not_after - left, validity=validity).reason

    assert reason(HOUR, 10 * DAY) == "the back-off ends"
    assert reason(32 * HOUR, DAY) == "an eighth of the certificate's remaining life has passed"
    assert reason(32 * HOUR, 300) == "the certificate expires"


def test_what_a_server_in_trouble_asks_for_is_an_hour_at_most():
    assert backoff.step_delay(CAUnavailable("503", retry_after=604_800), 1, 0.0) == HOUR


def test_a_failure_noted_under_a_clock_that_was_ahead_holds_nothing_up():
    pair = pair_of(90 * DAY)
    status = CertificateStatus(
        last_failure_time=NOW + 61 * DAY, next_attempt=NOW + 62 * DAY, failed_issuance_attempts=9
    )

    assert isinstance(decide(observe(WEB, pair, status, ("abc",)), NOW + 60.5 * DAY), Issue)
