"""The warning that too many Certificates have the same names."""

from __future__ import annotations

import pytest

from certmill.model.certificate import IssuerRef
from certmill.model.status import CertificateStatus
from certmill.views.shared_sets import too_many_copies
from tests.support.builders import NOW, a_certificate, an_issuer

HOUR = 3600.0
LETS_ENCRYPT = an_issuer(server="https://acme-v02.api.letsencrypt.org/directory")


def copies(number, **fields):
    return [
        a_certificate(name=f"copy-{each}", secret_name=f"copy-{each}", **fields) for each in range(number)
    ]


def renewed_each(hours):
    return CertificateStatus(
        not_before=NOW, not_after=NOW + 2 * hours * HOUR, renewal_time=NOW + hours * HOUR
    )


@pytest.mark.parametrize(
    ("hours_between_renewals", "most"),
    [(80, 2), (30 * 24, 21), (60 * 24, 42), (1, 1)],
    ids=["160 h", "45 d", "90 d", "2 h"],
)
def test_a_set_can_have_as_many_copies_as_its_limit_renews(hours_between_renewals, most):
    status = renewed_each(hours_between_renewals)

    assert too_many_copies(copies(1)[0], LETS_ENCRYPT, status, copies(most)) == ""
    told = too_many_copies(copies(1)[0], LETS_ENCRYPT, status, copies(most + 1))
    assert told.startswith(f"{most + 1} Certificates have exactly these names, and ")
    assert f"allows the renewal of {most}:" in told


@pytest.mark.parametrize(
    "others",
    [
        copies(9, dns_names=("web.example.test", "www.example.test")),
        copies(9, issuer_ref=IssuerRef(name="other", kind="ClusterIssuer")),
    ],
    ids=["other names", "another issuer"],
)
def test_only_copies_of_the_same_issuer_count(others):
    (one,) = copies(1)

    assert too_many_copies(one, LETS_ENCRYPT, renewed_each(80), [one, *others]) == ""


def test_nothing_is_told_without_a_limit_an_issuer_or_a_certificate():
    (one,) = copies(1)

    assert too_many_copies(one, an_issuer(), renewed_each(80), copies(9)) == ""
    assert too_many_copies(one, None, renewed_each(80), copies(9)) == ""
    assert too_many_copies(one, LETS_ENCRYPT, CertificateStatus(), copies(9)) == ""
