"""Begins the renewals that `certmill renew --all` has planned, each at its time."""

from __future__ import annotations

from certmill.certificates.reconcile import Reconciler
from certmill.errors import Permanent, Temporary
from certmill.model.names import CertificateId
from certmill.model.trigger import Origin, ReconcileOptions, Trigger
from certmill.runs.ports import Ports

LIMIT = 500
"""The most that one tick begins."""
AGAIN_SECONDS = 600.0
"""A renewal whose worker was killed, or whose home did not answer, is due again after this time."""

_AS_ASKED = ReconcileOptions(
    force=True, ignore_back_off=True, origin=Origin(trigger=Trigger.MANUAL), may_publish=False
)
"""As `certmill renew NAME`: a person has asked. The run waits among the arrivals, so the queue stays
bounded."""


def begin_planned(ports: Ports, reconciler: Reconciler) -> int:
    """Begin the planned renewals that are due. Returns their number. Raises StateUnavailable."""
    now = ports.clock.now()
    due = ports.planned_renewals.take(now=now, again_at=now + AGAIN_SECONDS, limit=LIMIT)
    for certificate in due:
        if _is_settled(reconciler, certificate):
            ports.planned_renewals.done([certificate])
    return len(due)


def _is_settled(reconciler: Reconciler, certificate: CertificateId) -> bool:
    """Begin one renewal. Returns False if it must be tried again."""
    try:
        reconciler.reconcile(certificate, _AS_ASKED)
    except Temporary:
        return False
    except Permanent:
        return True
    return True
