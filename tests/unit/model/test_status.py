"""What a stored status says at another time than it was written."""

from __future__ import annotations

from certmill.model.status import CertificateStatus, Condition, as_of

NOW = 1_800_000_000.0
READY = Condition(
    type="Ready", status=True, reason="Ready", message="Certificate is up to date and has not expired", last_transition=NOW - 90
)
ISSUING = Condition(type="Issuing", status=True, reason="Renewing", message="Renewing", last_transition=NOW - 9)


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
    for status in (CertificateStatus(), CertificateStatus(conditions=(ISSUING,), not_after=1.0), CertificateStatus(conditions=(READY,))):
        assert as_of(status, NOW) is status
