"""Label selectors, as kubectl reads them."""

from __future__ import annotations

import pytest

from certmill.errors import InvalidManifest
from certmill.model.label_selector import matches, parse_selector

LABELS = {"app": "web", "tier": "front", "empty": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app=web", True),
        ("app==web", True),
        ("app=api", False),
        ("app!=api", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("missing=x", False),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("empty=", True),
        ("app=web, tier=front", True),
        ("app=web,tier=back", False),
    ],
)
def test_a_selector_matches_as_kubectl_does(text, expected):
    assert matches(parse_selector(text), LABELS) is expected


@pytest.mark.parametrize("text", ["", "=web", "app=web,", "app in (web)", "a=b=c", "!", "app=!x"])
def test_a_text_that_is_no_selector_is_refused(text):
    with pytest.raises(InvalidManifest, match="--selector"):
        parse_selector(text)
