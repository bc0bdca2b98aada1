"""What a run has found out so far: kept in the record between steps, as JSON. The private key is not in here;
it is kept beside it, sealed.

During a rolling upgrade older and newer releases take turns at a run: each `unknown` keeps what a newer one
wrote (model.persisted)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from certmill.errors import FailureClass
from certmill.model.object_ref import ISSUER, ObjectRef
from certmill.model.persisted import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeFacts:
    """A challenge that we set up. `record_name`, `zone` and `value` are for dns-01; times in seconds since
    the epoch."""

    authorization: str
    url: str
    type: str
    token: str
    identifier: str
    wildcard: bool = False
    record_name: str = ""
    zone: str = ""
    value: str = ""
    way: str = ""
    """For http-01: how the CA's request comes to the responder (http01.kubernetes_routes)."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name as it was asked for."""
        return f"*.{self.identifier}" if self.wildcard else self.identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run ends without a certificate, and when the next one may begin."""

    failure_class: FailureClass
    message: str
    next_attempt: float
    by_issuer: bool = False
    """Whether the issuer itself failed, or is not there: then the next run begins as soon as the issuer is
    ready."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The pair that this run put into the Secret."""

    serial: str
    not_before: float
    not_after: float
    renew_at: float = 0.0
    recovered: bool = False
    """Whether runs before this one had failed."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it. "" and () are "not yet"."""

    issuer_kind: str = ""
    issuer_namespace: str = ""
    issuer_name: str = ""
    account: str = ""
    csr: str = ""
    order: str = ""
    finalize: str = ""
    authorizations: tuple[str, ...] = ()
    order_expires: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """The certificate's labels with which the solvers were chosen: the same are asked when the challenges are
    taken down."""
    challenges: tuple[ChallengeFacts, ...] = field(default=())
    presented_at: float | None = None
    answered_at: float | None = None
    """When all challenges had been answered: from then on the CA has its time to validate."""
    finalized_at: float | None = None
    """When the CSR was sent: from then on the CA has its time to issue."""
    certificate: str = ""
    stored: Stored | None = None
    failure: Failure | None = None
    restarts: int = 0
    """How often this run went back to an earlier step."""
    told: tuple[str, ...] = ()
    """Digests of what this run waited for and has told in an event; `noted`: in the status."""
    noted: tuple[str, ...] = ()
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def issuer(self) -> ObjectRef:
        """The issuer with which the run began."""
        return ObjectRef.of(self.issuer_kind or ISSUER, self.issuer_namespace, self.issuer_name)

    def to_json(self) -> str:
        """Compact JSON of what is set."""
        return _CODEC.dump(self)

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """The facts of a record; "" is a run that has found out nothing yet. Raises NewerRelease,
        DamagedValue."""
        return _CODEC.load(text) if text else cls()

    def without_order(self) -> Facts:
        """The order cannot be used any more. Key and CSR stay, and so do the challenges: they still have to
        be taken down."""
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
        """Without instants ahead of now, noted under a clock that was ahead: time-outs that begin with them
        would never end."""

        def past(instant: float | None) -> float | None:
            return now if instant is not None and instant > now else instant

        return replace(
            self,
            presented_at=past(self.presented_at),
            answered_at=past(self.answered_at),
            finalized_at=past(self.finalized_at),
        )

    def reusable(self) -> Facts:
        """What the next run may go on with after this one failed: the order and its CSR, nothing else."""
        return Facts(
            csr=self.csr,
            order=self.order,
            finalize=self.finalize,
            authorizations=self.authorizations,
            order_expires=self.order_expires,
        )


_CODEC: Final = Codec(Facts)
