from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.http.headers import MAX_RETRY_AFTER_SECONDS, links, retry_after, retry_after_in_text

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC).timestamp()
BASE = "https://ca.example/cert/1"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("999999999999", MAX_RETRY_AFTER_SECONDS),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 23 Nov 2026 14:01:00 +0200", 60.0),
        ("Mon, 23 Nov 2026 07:01:00 -0500", 60.0),
        ("Mon, 23 Nov 2026 12:01:00 -0000", 60.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2099 12:00:00 GMT", MAX_RETRY_AFTER_SECONDS),
    ],
)
def test_seconds_and_dates_are_seconds_from_now(text, seconds):
    assert retry_after({"Retry-After": text}, now=NOW) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "soon", "nan", "inf", "1e9", "0x10", "Mon, 99 Nov 2026 12:00:00 GMT", "12 34", "²"]
)
def test_nonsense_is_no_header(text):
    assert retry_after({"Retry-After": text}, now=NOW) is None


def test_no_header_is_none():
    assert retry_after({}, now=NOW) is None


def test_a_date_is_counted_by_the_clock_of_who_wrote_it():
    """Our clock may be an hour off; the CA's two dates are not."""
    headers = {"Retry-After": "Mon, 23 Nov 2026 13:00:30 GMT", "Date": "Mon, 23 Nov 2026 13:00:00 GMT"}

    assert retry_after(headers, now=NOW) == 30.0


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - the zone is added below
def test_every_http_date_is_clamped_to_a_week(date):
    seconds = retry_after({"Retry-After": format_datetime(date.replace(tzinfo=UTC), usegmt=True)}, now=NOW)

    assert seconds is not None
    assert 0.0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@given(st.text(max_size=60))
def test_no_text_breaks_it(text):
    seconds = retry_after({"Retry-After": text, "Date": text}, now=NOW)

    assert seconds is None or 0.0 <= seconds <= MAX_RETRY_AFTER_SECONDS


def test_boulders_text_says_it_too():
    text = (
        "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-23 12:10:00 "
        "UTC: see https://le.example"
    )

    assert retry_after_in_text(text, now=NOW) == 600.0
    assert retry_after_in_text("too many new orders", now=NOW) is None
    assert retry_after_in_text("retry after 2026-99-99 12:10:00 UTC", now=NOW) is None


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('<https://ca.example/cert/1/1>;rel="alternate"', ("https://ca.example/cert/1/1",)),
        ("<https://ca.example/cert/1/1>; rel=alternate", ("https://ca.example/cert/1/1",)),
        ('</cert/1/2>; rel="alternate"', ("https://ca.example/cert/1/2",)),
        (
            (
                '<https://ca.example/dir>;rel="index", <a>;rel="alternate", <b>; title="x, y"; rel="up '
                'alternate"'
            ),
            ("https://ca.example/cert/a", "https://ca.example/cert/b"),
        ),
        ('<a>;rel="alternate", <a>;rel="alternate"', ("https://ca.example/cert/a",)),
        ('<https://ca.example/dir>;rel="index"', ()),
        ('<https://[>;rel="alternate", <a>;rel="alternate"', ("https://ca.example/cert/a",)),
        ("nonsense", ()),
        ("", ()),
    ],
)
def test_links_of_one_relation_are_found_among_others(header, found):
    assert links({"Link": header}, "alternate", base=BASE) == found


def test_links_are_bounded():
    header = ", ".join(f'<{number}>;rel="alternate"' for number in range(1000))

    assert len(links({"Link": header}, "alternate", base=BASE)) == 32
