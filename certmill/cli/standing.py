"""How certificates stand: what home and Redis say of each, gathered for the views, which judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certmill.cli.session import Session
from certmill.errors import InvalidManifest, SecretUnusable
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, Condition, as_of

if TYPE_CHECKING:  # only what is held up needs it
    from certmill.views.causes import Blocked, Observed


class Standing:
    """Asks home and Redis about certificates; about each issuer once. For one call of a command."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._issuers: dict[tuple[str, str, str], tuple[Issuer | None, str, Condition | None]] = {}

    def of(self, certificate: Certificate, status: CertificateStatus) -> Blocked | None:
        """What holds it up. Where the status says that it is ready and nothing is under way, nobody is
        asked."""
        ready = as_of(status, self._session.now()).condition("Ready")
        if (
            ready is not None
            and ready.status
            and status.condition("Issuing") is None
            and status.next_attempt is None
        ):
            return None
        from certmill.views.causes import blocked_by

        return blocked_by(self.observed(certificate, status, self.secret(certificate)), self._session.now())

    def observed(
        self, certificate: Certificate, status: CertificateStatus, secret: Secret | None
    ) -> Observed:
        """What is known of it, for the views."""
        from certmill.certificates.ownership import recorded_owner
        from certmill.views.causes import Observed

        _, problem, ready = self._issuer(certificate)
        return Observed(
            certificate=certificate,
            status=status,
            issuer_ready=ready,
            issuer_problem=problem,
            owner=recorded_owner(self._session.home, certificate, secret, status),
            record=self._session.record(certificate.id),
        )

    def issuer(self, certificate: Certificate) -> Issuer | None:
        """Its issuer; None if there is none that can be used."""
        return self._issuer(certificate)[0]

    def secret(self, certificate: Certificate) -> Secret | None:
        """Its Secret; one that cannot be read is as good as none."""
        try:
            return self._session.home.secret(certificate.namespace, certificate.secret_name)
        except SecretUnusable:
            return None

    def _issuer(self, certificate: Certificate) -> tuple[Issuer | None, str, Condition | None]:
        """The issuer, why there is none to use, and its Ready condition."""
        ref = certificate.issuer_ref
        key = (ref.kind, certificate.namespace, ref.name)
        if key not in self._issuers:
            self._issuers[key] = self._found(certificate)
        return self._issuers[key]

    def _found(self, certificate: Certificate) -> tuple[Issuer | None, str, Condition | None]:
        home = self._session.home
        try:
            issuer = home.issuer(certificate.issuer_ref, certificate.namespace)
        except InvalidManifest as error:
            return None, f"cannot be used: {error}", None
        if issuer is None:
            return None, "is not there: apply it", None
        return issuer, "", home.issuer_status(issuer).condition("Ready")
