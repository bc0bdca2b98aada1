"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import CAUnavailable, FailureClass, NameRefused, RateLimited, SecretUnusable
from certmill.runs import backoff


@given(st.sampled_from(FailureClass), st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_below_its_floor_nor_above_its_ceiling(failure_class, attempts, jitter):
    policy = backoff.RUN[failure_class]

    assert policy.floor <= policy.delay(attempts, jitter) <= policy.ceiling


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 100))
def test_more_failures_never_shorten_the_delay(jitter, attempts):
    for policy in backoff.RUN.values():
        assert policy.delay(attempts, jitter) <= policy.delay(attempts + 1, jitter)


def test_a_wrong_name_is_asked_again_after_hours_and_at_most_32():
    first = backoff.run_delay(NameRefused("no"), 1, 0.999)
    late = backoff.run_delay(NameRefused("no"), 50, 0.999)

    assert 12 * 60 <= first <= 3600
    assert 30 * 3600 < late <= 32 * 3600


def test_a_rate_limit_is_tried_again_at_retry_after_and_not_before():
    assert backoff.step_delay(RateLimited("slow", retry_after=120), 1, 0.0) == 120
    assert 120 <= backoff.step_delay(RateLimited("slow", retry_after=120), 9, 0.999) <= 132


def test_a_rate_limit_without_a_time_is_reconciled_hourly():
    assert backoff.step_delay(RateLimited("paused"), 1, 0.0) == 3600


def test_a_transient_failure_has_full_jitter():
    delays = [backoff.step_delay(CAUnavailable("502"), 5, jitter / 10) for jitter in range(10)]

    assert min(delays) == 0.5
    assert max(delays) > 25
    assert len(set(delays)) == 10


def test_a_servers_own_time_is_kept():
    assert backoff.step_delay(CAUnavailable("503", retry_after=30), 1, 0.0) == 30


@pytest.mark.parametrize(
    "error", [CAUnavailable("503", retry_after=0.0), RateLimited("429", retry_after=0.0)]
)
def test_a_retry_after_of_no_time_does_not_turn_the_back_off_off(error):
    assert backoff.step_delay(error, 9, 0.9) > 60


def test_a_failure_that_costs_a_certificate_each_time_waits_as_long_as_a_wrong_name():
    assert backoff.run_delay(SecretUnusable("too large"), 1, 0.0, costly=True) == 12 * 60


@pytest.mark.parametrize(("elapsed", "expected"), [(0, 1), (3.9, 2), (9.9, 5), (1000, 30)])
def test_a_poll_grows_slower_with_time(elapsed, expected):
    assert backoff.poll_delay(elapsed) == expected
