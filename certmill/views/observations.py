"""Reads from the home and Redis what the other views need to know about certificates. The other modules of
this package only compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from certmill.certificates.candidates import Candidate, apply_it, candidates_for, run_first, with_fallbacks
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

    `record` returns what is in flight for a certificate, or None if nothing is known. `renewal_jitter`: the
    setting, in seconds; the workers may have another one.
    """

    def __init__(
        self,
        home: Home,
        record: Callable[[CertificateId], Record | None],
        clock: Clock,
        *,
        renewal_jitter: float,
    ) -> None:
        self._home = home
        self._record = record
        self._clock = clock
        self._renewal_jitter = renewal_jitter
        self._issuers = _Issuers(home)

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
        return self._known(certificate, status, secret).observed

    def known(self, certificate: Certificate, secret: Secret | None) -> Known:
        """The observed data of the certificate, with its issuer and its Secret."""
        return self._known(certificate, self._home.certificate_status(certificate.id), secret)

    def _known(self, certificate: Certificate, status: CertificateStatus, secret: Secret | None) -> Known:
        from certmill.certificates.ownership import recorded_owner
        from certmill.views.causes import Observed
        from certmill.views.next_step import Known

        record = self._record(certificate.id)
        candidates, problem = self._candidates(certificate, record)
        certificate = with_fallbacks(certificate, candidates)
        issuer = candidates[0].issuer if candidates else None
        observed = Observed(
            certificate=certificate,
            status=status,
            issuer_ref=candidates[0].ref if candidates else certificate.issuer_ref,
            issuer_ready=self._issuers.ready(issuer) if issuer is not None else None,
            issuer_problem=problem,
            owner=recorded_owner(self._home, certificate, secret, status),
            record=record,
        )
        return Known(
            observed=observed, candidates=candidates, secret=secret, renewal_jitter=self._renewal_jitter
        )

    def secret(self, certificate: Certificate) -> Secret | None:
        """The Secret of the certificate. None if there is none, or if it cannot be read."""
        try:
            return self._home.secret(certificate.namespace, certificate.secret_name)
        except SecretUnusable:
            return None

    def _candidates(
        self, certificate: Certificate, record: Record | None
    ) -> tuple[tuple[Candidate, ...], str]:
        """The candidate issuers, the one of the run under way first, and why that one cannot be used (else
        "")."""
        try:
            found = candidates_for(self._issuers, certificate)
        except InvalidManifest as error:
            return (), f"cannot be used: {error}"
        candidates = run_first(found, record.spec if record is not None and record.step else "")
        if candidates[0].issuer is not None:
            return candidates, ""
        return candidates, f"is not there: {apply_it(self._issuers, certificate)}"


class _Issuers:
    """The issuers of a home, each read once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._found: dict[ObjectRef, Issuer | InvalidManifest | None] = {}
        self._ready: dict[ObjectRef, Condition | None] = {}

    def issuer(self, ref: ObjectRef) -> Issuer | None:
        """The issuer, None if it does not exist. Raises InvalidManifest."""
        if ref not in self._found:
            try:
                self._found[ref] = self._home.issuer(ref)
            except InvalidManifest as error:
                self._found[ref] = error
        found = self._found[ref]
        if isinstance(found, InvalidManifest):
            raise found
        return found

    def ready(self, issuer: Issuer) -> Condition | None:
        """The Ready condition of the issuer, None if it has none."""
        if issuer.ref not in self._ready:
            self._ready[issuer.ref] = self._home.issuer_status(issuer).condition("Ready")
        return self._ready[issuer.ref]
