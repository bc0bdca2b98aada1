"""The limits of a CA, by its directory's URL and the issuer's own numbers."""

from __future__ import annotations

import pytest

from certmill.budgets.profiles import LETS_ENCRYPT, LETS_ENCRYPT_STAGING, limits_of
from certmill.model.rate_limit import LimitName, RateLimit


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("https://acme-v02.api.letsencrypt.org/directory", LETS_ENCRYPT),
        ("https://ACME-v02.api.letsencrypt.org:443/directory", LETS_ENCRYPT),
        ("https://acme-staging-v02.api.letsencrypt.org/directory", LETS_ENCRYPT_STAGING),
        ("https://dv.acme-v02.api.pki.goog/directory", {}),
        ("https://acme.zerossl.com/v2/DV90", {}),
        ("https://ca.example.com/directory", {}),
        ("not a URL", {}),
    ],
)
def test_the_directory_decides_the_limits(server, expected):
    assert limits_of(server) == expected


def test_a_limit_of_the_issuer_replaces_one_of_the_profile_or_removes_it():
    own = {LimitName.NEW_ORDERS: RateLimit(count=9, seconds=60), LimitName.CERTIFICATES_PER_SET: None}

    found = limits_of("https://acme-v02.api.letsencrypt.org/directory", own)

    assert found[LimitName.NEW_ORDERS] == RateLimit(count=9, seconds=60)
    assert LimitName.CERTIFICATES_PER_SET not in found
    assert found[LimitName.CERTIFICATES_PER_DOMAIN] == LETS_ENCRYPT[LimitName.CERTIFICATES_PER_DOMAIN]


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        (LimitName.NEW_ORDERS, 36),
        (LimitName.CERTIFICATES_PER_DOMAIN, 201.6 * 60),
        (LimitName.CERTIFICATES_PER_SET, 33.6 * 3600),
        (LimitName.FAILED_AUTHORIZATIONS, 720),
        (LimitName.CONSECUTIVE_FAILURES, 86_400),
        (LimitName.NEW_ACCOUNTS, 18 * 60),
    ],
)
def test_tokens_of_lets_encrypt_come_back_as_its_page_says(name, interval):
    assert LETS_ENCRYPT[name].interval == pytest.approx(interval)
