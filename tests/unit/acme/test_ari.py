from __future__ import annotations

import pytest

from certmill.acme import ari
from certmill.acme.ari import RenewalInfo
from certmill.errors import CAUnavailable

WINDOW = {"start": "2026-11-24T12:00:00Z", "end": "2026-11-25T12:00:00Z"}


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "a/b.c", "../a.b", "a.b\n", "a." + "b" * 200])
def test_what_could_be_a_path_is_no_id(text):
    assert not ari.is_cert_id(text)


def test_the_window_is_read():
    info = RenewalInfo.from_json(
        {"suggestedWindow": WINDOW, "explanationURL": "https://ca.example/why"}, retry_after=7200.0
    )

    assert info == RenewalInfo(
        start=1795521600.0, end=1795608000.0, explanation_url="https://ca.example/why", retry_after=7200.0
    )


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 21600.0), (0.0, 60.0), (59.0, 60.0), (3600.0, 3600.0), (604800.0, 86400.0)]
)
def test_the_next_reconciliation_is_between_a_minute_and_a_day_away(header, seconds):
    assert RenewalInfo.from_json({"suggestedWindow": WINDOW}, retry_after=header).retry_after == seconds


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"suggestedWindow": None},
        {"suggestedWindow": {}},
        {"suggestedWindow": {"start": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["end"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["start"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": "soon", "end": "later"}},
        {"suggestedWindow": [1, 2]},
    ],
)
def test_a_window_that_makes_no_sense_is_not_used(body):
    """RFC 9773 §4.2: an end that is not after the start is to be treated as no answer."""
    with pytest.raises(CAUnavailable):
        RenewalInfo.from_json(body, retry_after=None)
