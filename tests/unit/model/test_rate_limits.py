"""The annotation certmill.io/rate-limits of an issuer."""

from __future__ import annotations

import pytest

from certmill.errors import InvalidManifest
from certmill.model.manifests.issuer.rate_limits import ANNOTATION, rate_limits_of
from certmill.model.rate_limit import LimitName, RateLimit

HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("new-orders-per-account=1500/3h", {LimitName.NEW_ORDERS: RateLimit(count=1500, seconds=3 * HOUR)}),
        (
            " new-orders-per-account = 9/1m , new-certificates-per-exact-set=none,",
            {LimitName.NEW_ORDERS: RateLimit(count=9, seconds=60), LimitName.CERTIFICATES_PER_SET: None},
        ),
        ("none", dict.fromkeys(LimitName)),
    ],
)
def test_the_annotation_has_limits_by_name(text, expected):
    assert rate_limits_of({ANNOTATION: text}) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("new-orders-per-account", "not NAME=COUNT/DURATION"),
        ("new-orders=300/3h", "the names are new-orders-per-account, "),
        ("new-orders-per-account=300", "must be COUNT/DURATION, such as 300/3h, or none"),
        ("new-orders-per-account=0/3h", "must be COUNT/DURATION"),
        ("new-orders-per-account=-1/3h", "must be COUNT/DURATION"),
        ("new-orders-per-account=3/10ms", "must be COUNT/DURATION"),
        ("new-orders-per-account=3/40000h", "must be COUNT/DURATION"),
        ("new-orders-per-account=3/-3h", "must be COUNT/DURATION"),
        ("new-orders-per-account=9999999999999999999/3h", "must be COUNT/DURATION"),
        ("new-orders-per-account=٣/3h", "must be COUNT/DURATION"),
        ("new-orders-per-account=1/3h, new-orders-per-account=2/3h", "has new-orders-per-account twice"),
        ("x" * 1001, "is longer than 1000 characters"),
    ],
)
def test_a_limit_that_cannot_be_read_names_the_annotation_and_the_fault(text, reason):
    with pytest.raises(InvalidManifest) as refusal:
        rate_limits_of({ANNOTATION: text})

    assert refusal.value.path == "metadata.annotations[certmill.io/rate-limits]"
    assert reason in refusal.value.reason
