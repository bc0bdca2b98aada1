"""What a stored status says at another time than it was written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.model.reason import Reason
from certmill.model.status import (
    CertificateStatus,
    Condition,
    as_of,
    owner_message,
    owner_of,
)

NOW = 1_800_000_000.0
READY = Condition(
    type="Ready",
    status=True,
    reason="Ready",
    message="Certificate is up to date and has not expired",
    last_transition=NOW - 90,
)
ISSUING = Condition(
    type="Issuing", status=True, reason="Renewing", message="Renewing", last_transition=NOW - 9
)


def test_ready_follows_the_clock_from_the_second_of_expiry_on():
    status = CertificateStatus(conditions=(READY, ISSUING), not_after=NOW)

    assert as_of(status, NOW - 1) is status
    over = as_of(status, NOW)
    assert over.conditions == (
        Condition(
            type="Ready",
            status=False,
            reason="Expired",
            message="Certificate expired on Fri, 15 Jan 2027 08:00:00 UTC",
            last_transition=NOW,
        ),
        ISSUING,
    )
    assert as_of(over, NOW + 1) is over


def test_what_was_not_ready_or_has_no_times_stays_as_it_was_written():
    for status in (
        CertificateStatus(),
        CertificateStatus(conditions=(ISSUING,), not_after=1.0),
        CertificateStatus(conditions=(READY,)),
    ):
        assert as_of(status, NOW) is status


@pytest.mark.parametrize("issued", [True, False])
def test_the_owner_that_a_certificate_waits_for_is_read_back(issued):
    waits = replace(
        READY, status=False, reason=Reason.INCORRECT_CERTIFICATE, message=owner_message("web", issued=issued)
    )

    assert owner_of(CertificateStatus(conditions=(waits,))) == "web"
    assert owner_of(CertificateStatus(conditions=(waits, ISSUING))) == ""
    assert owner_of(CertificateStatus(conditions=(replace(waits, status=True),))) == ""
    assert owner_of(CertificateStatus(conditions=(replace(waits, reason="DoesNotExist"),))) == ""
    assert owner_of(CertificateStatus()) == ""
