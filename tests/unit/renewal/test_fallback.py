"""When another candidate issuer takes the place of one that cannot issue now: one rule for each class of
error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill import errors
from certmill.errors import CAUnavailable, CertmillError, RateLimited, RegistrationPostponed
from certmill.renewal.fallback import Reserve, Stay, UseNext, decide, trouble_of
from certmill.runs.backoff import Validity
from certmill.runs.outcomes import Trouble
from tests.support.builders import DAY, NOW

OUT, LIMITED, NOT_READY = Trouble.CA_IS_OUT, Trouble.RATE_LIMITED, Trouble.NOT_READY
NONE = Reserve.of(None, patience=300, now=NOW)
"""No certificate is stored."""
RESERVE = NOW + 75 * DAY
STORED = Reserve.of(Validity(not_before=NOW, not_after=NOW + 90 * DAY), patience=300, now=NOW)


def decided(trouble, reserve, *, now=NOW, since=NOW, until=NOW, is_first=True, has_failed=False):
    return decide(
        trouble, reserve, now=now, since=since, until=until, is_first=is_first, has_failed=has_failed
    )


def all_errors(kind=CertmillError):
    return {kind}.union(*(all_errors(one) for one in kind.__subclasses__()))


def test_only_a_ca_that_cannot_issue_now_is_trouble_that_another_ca_may_not_have():
    found = {kind: trouble_of(kind("why")) for kind in all_errors() if kind.__module__ == errors.__name__}

    assert {kind: trouble for kind, trouble in found.items() if trouble is not None} == {
        CAUnavailable: OUT,
        RegistrationPostponed: OUT,
        RateLimited: LIMITED,
        errors.AccountRefused: NOT_READY,
    }


def test_any_other_error_never_uses_another_issuer():
    for is_first in (True, False):
        assert decided(None, NONE, until=NOW + 90 * DAY, is_first=is_first, has_failed=True) == Stay()


@pytest.mark.parametrize(
    ("reserve", "now", "expected"),
    [
        (NONE, NOW + 299, Stay(until=NOW + 300)),
        (NONE, NOW + 300, UseNext()),
        (STORED, NOW + 60 * DAY, Stay(until=RESERVE)),
        (STORED, RESERVE, UseNext()),
    ],
)
def test_a_ca_that_is_out_is_waited_for_until_the_reserve_of_the_certificate_begins(reserve, now, expected):
    assert decided(OUT, reserve, now=now) == expected


def test_a_ca_that_has_just_gone_out_in_the_reserve_has_the_patience_first():
    assert decided(OUT, STORED, now=RESERVE + DAY, since=RESERVE + DAY) == Stay(until=RESERVE + DAY + 300)


def test_a_run_that_fails_because_its_ca_is_out_needs_no_patience():
    assert decided(OUT, NONE, has_failed=True) == UseNext()
    assert decided(OUT, STORED, now=NOW + 60 * DAY, has_failed=True) == Stay(until=RESERVE)
    assert decided(OUT, STORED, now=RESERVE, since=RESERVE, has_failed=True) == UseNext()


@pytest.mark.parametrize(
    ("reserve", "until", "expected"),
    [
        (NONE, NOW + 300, Stay()),
        (NONE, NOW + 301, UseNext()),
        (STORED, RESERVE, Stay()),
        (STORED, RESERVE + 1, UseNext()),
    ],
)
def test_a_rate_limit_is_waited_for_if_it_ends_before_the_reserve(reserve, until, expected):
    assert decided(LIMITED, reserve, until=until) == expected


def test_only_a_fall_back_issuer_that_is_not_ready_is_passed_over():
    assert decided(NOT_READY, NONE) == Stay()
    assert decided(NOT_READY, NONE, is_first=False) == UseNext()


def test_an_expired_certificate_has_no_reserve():
    expired = Validity(not_before=NOW - 90 * DAY, not_after=NOW)

    assert Reserve.of(expired, patience=300, now=NOW) == NONE


@given(lifetime=st.floats(60, 400 * DAY), share=st.floats(0, 0.99), out=st.floats(0, 40 * DAY))
def test_a_switch_comes_in_the_last_sixth_and_never_too_late(lifetime, share, out):
    """If a CA goes out before the reserve and stays out, the next one has nearly all of the reserve."""
    validity = Validity(not_before=NOW, not_after=NOW + lifetime)
    since = NOW + share * lifetime
    reserve = Reserve.of(validity, patience=300, now=since)

    found = decided(OUT, reserve, now=since, since=since)

    assert isinstance(found, Stay)
    assert found.until is not None
    assert found.until >= NOW + lifetime * 5 / 6 - 1e-3
    assert found.until <= max(since, NOW + lifetime * 5 / 6) + lifetime / 100 + 1e-3
    assert decided(OUT, reserve, now=found.until + out, since=since) == UseNext()
