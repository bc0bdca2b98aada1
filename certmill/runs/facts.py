"""The data that a run has collected, stored in its record between steps as JSON. The private key is not in
it; the record has the key in another field, sealed.

During a rolling upgrade, older and newer releases execute steps of the same run. `unknown` keeps the fields
that a newer release wrote (model.persisted)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from certmill.errors import FailureClass
from certmill.model.fallback import Fallback
from certmill.model.object_ref import ISSUER, ObjectRef
from certmill.model.persisted import JSON_NAME, Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeFacts:
    """A challenge that the run presents. `record_name`, `zone` and `value` are for dns-01."""

    authorization: str
    url: str
    type: str
    token: str
    identifier: str
    wildcard: bool = False
    record_name: str = ""
    zone: str = ""
    value: str = ""
    route: str = field(default="", metadata={JSON_NAME: "way"})
    """For http-01: the name of the route from the CA to the responder (http01.kubernetes_routes). "" if no
    route is needed."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name as in the order, with `*.` for a wildcard."""
        return f"*.{self.identifier}" if self.wildcard else self.identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run ends without a certificate, and when the next run may begin (seconds since the epoch)."""

    failure_class: FailureClass
    message: str
    next_attempt: float
    by_issuer: bool = False
    """Whether the issuer failed or does not exist. The next run then begins as soon as the issuer is
    Ready."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The pair that this run stored in the Secret. Times are in seconds since the epoch."""

    serial: str
    not_before: float
    not_after: float
    renew_at: float = 0.0
    recovered: bool = False
    """Whether the run before this one failed."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All data of a run. "", () and None mean that the run does not have the value yet. Times are in seconds
    since the epoch."""

    issuer_kind: str = ""
    issuer_namespace: str = ""
    issuer_name: str = ""
    account: str = ""
    csr: str = ""
    order: str = ""
    finalize: str = ""
    authorizations: tuple[str, ...] = ()
    order_expires: float | None = None
    same_set: bool = False
    """Whether the CA exempts the order from two rate limits, because a certificate for the same identifiers
    exists (budgets.buckets)."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The Certificate's labels with which the solvers were chosen. The clean-up chooses with the same labels,
    so that it finds the same solvers."""
    challenges: tuple[ChallengeFacts, ...] = field(default=())
    presented_at: float | None = None
    answered_at: float | None = None
    """When the last challenge was answered. The validation timeout begins here."""
    finalized_at: float | None = None
    """When the CSR was sent. The time-out for the certificate begins here."""
    certificate: str = ""
    stored: Stored | None = None
    failure: Failure | None = None
    ca_out_since: float | None = None
    """Since when the CA has not answered the current step, or has answered 5xx; None if it answers."""
    fallback: Fallback | None = None
    """Set if this run ends because another candidate issuer takes over: for the next run."""
    restarts: int = 0
    """How often this run went back to an earlier step."""
    event_reasons: tuple[str, ...] = field(default=(), metadata={JSON_NAME: "told"})
    """Digests of the wait reasons that are recorded as events."""
    status_reasons: tuple[str, ...] = field(default=(), metadata={JSON_NAME: "noted"})
    """Digests of the wait reasons that are in the status."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def issuer(self) -> ObjectRef | None:
        """The issuer that the run uses. None until its first step has read it."""
        if not self.issuer_name:
            return None
        return ObjectRef.of(self.issuer_kind or ISSUER, self.issuer_namespace, self.issuer_name)

    def with_issuer(self, issuer: ObjectRef) -> Facts:
        """The facts of a run that uses this issuer."""
        return replace(
            self, issuer_kind=issuer.kind, issuer_namespace=issuer.namespace, issuer_name=issuer.name
        )

    def to_json(self) -> str:
        """Compact JSON of the fields that have a value."""
        return _CODEC.dump(self)

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """The facts of a record. "" is a run that has just begun. Raises NewerRelease, DamagedValue."""
        return _CODEC.load(text) if text else cls()

    def without_order(self) -> Facts:
        """The facts without the order, which cannot be used any more. The key, the CSR and the challenges
        stay: the challenges must still be cleaned up."""
        return replace(
            self,
            order="",
            finalize="",
            authorizations=(),
            order_expires=None,
            presented_at=None,
            answered_at=None,
            finalized_at=None,
            certificate="",
        )

    def as_of(self, now: float) -> Facts:
        """The facts without times in the future, which were written while a clock was wrong. A time-out that
        begins in the future would be too long."""
        if not any(at and at > now for at in (self.presented_at, self.answered_at, self.finalized_at)):
            return self

        def past(instant: float | None) -> float | None:
            return now if instant is not None and instant > now else instant

        return replace(
            self,
            presented_at=past(self.presented_at),
            answered_at=past(self.answered_at),
            finalized_at=past(self.finalized_at),
        )

    def reusable(self) -> Facts:
        """The facts that the next run may continue with after this run failed: only the order and its CSR."""
        return Facts(
            csr=self.csr,
            order=self.order,
            finalize=self.finalize,
            authorizations=self.authorizations,
            order_expires=self.order_expires,
        )


_CODEC: Final = Codec(Facts)
