"""What is read of Kubernetes objects that anybody with their rights can write."""

from __future__ import annotations

import pytest

from certmill.kube.objects import instant_of


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-11-24T12:00:00Z", 1795521600.0),
        ("9999-12-31T23:59:59Z", 253402300799.0),
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        (7, None),
        (None, None),
    ],
)
def test_a_time_that_no_datetime_can_have_is_none(written: object, seconds: float | None) -> None:
    assert instant_of(written) == seconds
