"""Go durations, both ways."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.model.durations import format_duration, go_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2160h", timedelta(days=90)),
        ("1h30m", timedelta(minutes=90)),
        ("2160h0m0s", timedelta(days=90)),
        ("1.5h", timedelta(minutes=90)),
        (".5s", timedelta(milliseconds=500)),
        ("10ms", timedelta(milliseconds=10)),
        ("10us", timedelta(microseconds=10)),
        ("10µs", timedelta(microseconds=10)),
        ("1500ns", timedelta(microseconds=1)),
        ("0", timedelta()),
        ("-5m", timedelta(minutes=-5)),
        ("+5m", timedelta(minutes=5)),
    ],
)
def test_go_durations_are_read(text, length):
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90d",
        "90",
        "h",
        "1 h",
        "1h ",
        "1h\n",
        "--1h",
        "1e3h",
        "\u0661h",
        "1h" * 40,
        "9" * 60 + "h",
        "2600000h",
    ],
)
def test_what_is_no_go_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [(timedelta(days=90), "2160h"), (timedelta(seconds=5400.25), "1h30m0.25s"), (timedelta(), "0s")],
)
def test_durations_are_written_without_the_units_that_are_nought(length, text):
    assert format_duration(length) == text


@given(st.timedeltas(min_value=timedelta(days=-100_000), max_value=timedelta(days=100_000)))
def test_a_duration_that_was_written_reads_the_same(length):
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=90), "2160h0m0s"),
        (timedelta(minutes=5), "5m0s"),
        (timedelta(seconds=5400.25), "1h30m0.25s"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(microseconds=1500), "1.5ms"),
        (timedelta(microseconds=7), "7µs"),
        (timedelta(), "0s"),
        (timedelta(hours=-1), "-1h0m0s"),
    ],
)
def test_durations_are_written_as_go_writes_them(length, text):
    assert go_duration(length) == text


@given(st.timedeltas(min_value=timedelta(days=-100_000), max_value=timedelta(days=100_000)))
def test_a_duration_that_was_written_as_go_does_reads_the_same(length):
    assert parse_duration(go_duration(length)) == length
