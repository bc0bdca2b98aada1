"""What was observed of a Certificate and its stored pair, and what is wrong with the pair. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from certmill.crypto import chain
from certmill.errors import SecretUnusable
from certmill.model.ari import AriStatus
from certmill.model.certificate import Certificate
from certmill.model.reason import Reason
from certmill.model.secret import TLS_CERTIFICATE, Secret
from certmill.model.status import CertificateStatus
from certmill.renewal import ari
from certmill.renewal.plan import RenewalPlan, plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Why the stored pair is not the desired one; the message has one line."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The observed facts on which the decision depends. `unusable`: why the Secret or its certificate could
    not be read, or "". `specs`: the digest of the desired state with each candidate issuer."""

    certificate: Certificate
    secret: Secret | None
    leaf: chain.Leaf | None
    unusable: str
    status: CertificateStatus
    specs: tuple[str, ...]
    jitter_seconds: float = 0.0
    uses_ari: bool = True
    """Whether the issuer of the stored pair uses the renewal information of its CA."""

    @property
    def spec(self) -> str:
        """The digest with the first of the candidates, which the run under way, or the next one, uses."""
        return self.specs[0]

    @property
    def renewal(self) -> RenewalPlan:
        """When the stored pair must be renewed, and by which rule. The pair's leaf must be known."""
        assert self.leaf is not None
        return plan(self.certificate, self.leaf, ari=self.ari, jitter_seconds=self.jitter_seconds)

    @property
    def ari(self) -> AriStatus | None:
        """The renewal information of the stored pair, if its issuer uses it and the CA was asked."""
        return ari.known(self.status, self.leaf) if self.uses_ari and self.leaf is not None else None


def observe(
    certificate: Certificate,
    secret: Secret | None,
    status: CertificateStatus,
    specs: tuple[str, ...],
    *,
    unusable: str = "",
    jitter_seconds: float = 0.0,
    uses_ari: bool = True,
) -> Observation:
    """Parse the stored pair, with size limits, so that the checks only compare facts. `unusable`: why the
    Secret exists but could not be read."""
    leaf = None
    if secret is not None and secret.data.get(TLS_CERTIFICATE):
        try:
            leaf = chain.leaf(secret.data[TLS_CERTIFICATE])
        except SecretUnusable as error:
            unusable = str(error)
    return Observation(
        certificate=certificate,
        secret=secret,
        leaf=leaf,
        unusable=unusable,
        status=status,
        specs=specs,
        jitter_seconds=jitter_seconds,
        uses_ari=uses_ari,
    )
