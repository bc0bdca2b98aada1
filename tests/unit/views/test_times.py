"""Ages and instants look as kubectl's do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.views import times

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 365 * 86_400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 1, "2m1s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 59 * MINUTE, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (48 * HOUR - 1, "47h"),
        (2 * DAY, "2d"),
        (7 * DAY + 23 * HOUR, "7d23h"),
        (8 * DAY + 23 * HOUR, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + 3 * DAY, "2y3d"),
        (9 * YEAR, "9y"),
    ],
)
def test_a_duration_is_shown_as_kubectl_shows_it(seconds, shown):
    assert times.duration(seconds) == shown


@given(st.floats(min_value=0, max_value=1e11))
def test_a_duration_is_short(seconds):
    assert 2 <= len(times.duration(seconds)) <= 7


def test_an_age_that_is_not_known_says_so():
    assert times.age(None, 100.0) == "<unknown>"
    assert times.age(40.0, 100.0) == "60s"


@pytest.mark.parametrize(
    ("then", "shown"), [(100.0, "now"), (103.0, "in 3s"), (40.0, "60s ago"), (100.0 + 60 * DAY, "in 60d")]
)
def test_an_instant_is_said_from_now(then, shown):
    assert times.away(then, 100.0) == shown


def test_instants_are_utc():
    assert times.moment(1_800_000_000.7) == "2027-01-15 08:00:00 UTC"
    assert times.timestamp(1_800_000_000.7) == "2027-01-15T08:00:00Z"
    assert times.moment(None) == ""
