"""Reads from the home and Redis what the other views need to know about certificates. The other modules of
this package only compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from certmill.certificates.candidates import issuers_for
from certmill.clock import Clock
from certmill.errors import InvalidManifest, SecretUnusable
from certmill.home.base import Home
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, Condition, as_of

if TYPE_CHECKING:  # these imports take long, and only a certificate that is not ready needs them
    from certmill.state.record import Record
    from certmill.views.causes import Blocked, Observed
    from certmill.views.next_step import Known


class Observations:
    """Reads what the home and Redis contain about certificates; reads each issuer once. Make a new object for
    each answer, because issuers are cached.

    `record` returns what is in flight for a certificate, or None if nothing is known.
    """

    def __init__(self, home: Home, record: Callable[[CertificateId], Record | None], clock: Clock) -> None:
        self._home = home
        self._record = record
        self._clock = clock
        self._issuers: dict[ObjectRef, tuple[tuple[Issuer, ...], str, Condition | None]] = {}

    def blocked(self, certificate: Certificate, status: CertificateStatus) -> Blocked | None:
        """What blocks the certificate; None if nothing does. Redis is not read if the status says that the
        certificate is ready and that nothing waits."""
        ready = as_of(status, self._clock.now()).condition("Ready")
        if (
            ready is not None
            and ready.status
            and status.condition("Issuing") is None
            and status.next_attempt is None
        ):
            return None
        from certmill.views.causes import blocked_by

        return blocked_by(self.observed(certificate, status, self.secret(certificate)), self._clock.now())

    def observed(
        self, certificate: Certificate, status: CertificateStatus, secret: Secret | None
    ) -> Observed:
        """The data of the certificate, its issuer and its record, for the other views."""
        from certmill.certificates.ownership import recorded_owner
        from certmill.views.causes import Observed

        _, problem, ready = self._issuer(certificate)
        return Observed(
            certificate=certificate,
            status=status,
            issuer_ready=ready,
            issuer_problem=problem,
            owner=recorded_owner(self._home, certificate, secret, status),
            record=self._record(certificate.id),
        )

    def known(self, certificate: Certificate, secret: Secret | None) -> Known:
        """The observed data of the certificate, with its issuer and its Secret."""
        from certmill.views.next_step import Known

        observed = self.observed(certificate, self._home.certificate_status(certificate.id), secret)
        return Known(observed=observed, issuers=self._issuer(certificate)[0], secret=secret)

    def secret(self, certificate: Certificate) -> Secret | None:
        """The Secret of the certificate. None if there is none, or if it cannot be read."""
        try:
            return self._home.secret(certificate.namespace, certificate.secret_name)
        except SecretUnusable:
            return None

    def _issuer(self, certificate: Certificate) -> tuple[tuple[Issuer, ...], str, Condition | None]:
        """The candidate issuers, the reason why none can be used (else ""), and the Ready condition of the
        first."""
        key = certificate.issuer
        if key not in self._issuers:
            self._issuers[key] = self._found(certificate)
        return self._issuers[key]

    def _found(self, certificate: Certificate) -> tuple[tuple[Issuer, ...], str, Condition | None]:
        try:
            issuers = issuers_for(self._home, certificate)
        except InvalidManifest as error:
            return (), f"cannot be used: {error}", None
        if not issuers:
            return (), "is not there: apply it", None
        return issuers, "", self._home.issuer_status(issuers[0]).condition("Ready")
