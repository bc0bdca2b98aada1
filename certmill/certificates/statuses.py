"""Writes a Certificate's status to the home and to the metrics. One place writes both, so that they agree."""

from __future__ import annotations

from collections.abc import Callable

from certmill.errors import Conflict
from certmill.home.base import Home
from certmill.model.certificate import Certificate
from certmill.model.names import CertificateId
from certmill.model.status import CertificateStatus
from certmill.observe import certificates
from certmill.observe.certificate_gauges import DEFAULT_GROUP, CertificateGauge
from certmill.renewal.risk import AT_RISK, level_in, with_risk
from certmill.runs.ports import Ports

_OVER = "NotAtRisk"


def write(
    ports: Ports,
    certificate: Certificate,
    status: CertificateStatus,
    *,
    before: CertificateStatus,
    now: float,
) -> bool:
    """Write the status with its level of risk to the home if it differs from `before`, then to the metrics.
    Returns whether this Certificate is new to Redis. Raises the errors of Home.write_certificate_status."""
    status = with_risk(status, now)
    if status != before:
        ports.home.write_certificate_status(certificate.id, status)
        report_risk(ports, certificate, before, status)
    return note(ports, certificate, status)


def report_risk(
    ports: Ports, certificate: Certificate, before: CertificateStatus, after: CertificateStatus
) -> None:
    """Record an event and a log line if the level of risk has changed. A pair that is gone is not reported:
    Ready says so."""
    level, found = level_in(after), after.condition(AT_RISK)
    if level is level_in(before) or after.not_after is None:
        return
    if found is None:
        ports.events.record_event(certificate, _OVER, "Certificate is no longer at risk")
    else:
        ports.events.record_event(certificate, found.reason, found.message, warning=True)
    certificates.risk_changed(
        certificate.id, level=level.value, reason=found.message if found is not None else ""
    )


def update(
    home: Home, certificate: CertificateId, change: Callable[[CertificateStatus], CertificateStatus]
) -> CertificateStatus:
    """Change the stored status. Returns the status before the change.

    The status may come from a cache. If another process has written since, the change is made again, once,
    from the current status. Raises Conflict after that, and the errors of Home.write_certificate_status."""
    before = home.certificate_status(certificate)
    try:
        home.write_certificate_status(certificate, change(before))
    except Conflict:
        before = home.certificate_status(certificate)
        home.write_certificate_status(certificate, change(before))
    return before


def note(ports: Ports, certificate: Certificate, status: CertificateStatus) -> bool:
    """Write the status to the metrics. Returns whether this Certificate is new to Redis."""
    ready, ref = status.condition("Ready"), certificate.issuer_ref
    gauge = CertificateGauge(
        issuer_name=ref.name,
        issuer_kind=ref.kind or "Issuer",
        issuer_group=ref.group or DEFAULT_GROUP,
        not_before=status.not_before,
        not_after=status.not_after,
        renewal_time=status.renewal_time,
        ready=ready.status if ready is not None else None,
    )
    return ports.gauges.note(certificate.id, gauge)
