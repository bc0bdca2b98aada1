"""Reads the text of an answer 429 of Boulder: which limit was reached, and for which subject. Pure.

Source: Decision.Result in Boulder's ratelimits/limiter.go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from certmill.budgets.buckets import Bucket
from certmill.model.rate_limit import LimitName

_TEXTS: Final = (
    (LimitName.NEW_ORDERS, re.compile(r"too many new orders \(\d+\) from this account")),
    (
        LimitName.CERTIFICATES_PER_SET,
        re.compile(r"too many certificates \(\d+\) already issued for this exact set of identifiers"),
    ),
    (
        LimitName.CERTIFICATES_PER_DOMAIN,
        re.compile(r'too many certificates \(\d+\) already issued for "([^"]{1,253})"'),
    ),
    (
        LimitName.FAILED_AUTHORIZATIONS,
        re.compile(r'too many failed authorizations \(\d+\) for "([^"]{1,253})"'),
    ),
    (LimitName.NEW_ACCOUNTS, re.compile(r"too many new registrations \(\d+\) from this IP address")),
)


def named_in(text: str, buckets: Sequence[Bucket]) -> Bucket | None:
    """The bucket that the CA's text names, of those that the request has checked. None if it names none."""
    for name, pattern in _TEXTS:
        found = pattern.search(text)
        if found is not None:
            subject = found.group(1).lower() if pattern.groups else ""
            return _of(subject, [bucket for bucket in buckets if bucket.name == name])
    return None


def _of(subject: str, buckets: Sequence[Bucket]) -> Bucket | None:
    """The bucket of this subject. If there is only one, the CA can mean no other: Boulder writes the network
    of an IPv6 address without its beginning, and may have another version of the public suffix list."""
    exact = (bucket for bucket in buckets if bucket.subject == subject)
    return next(exact, buckets[0] if len(buckets) == 1 else None)
