"""What a run has found out so far: kept in the record between steps, as JSON. The private key is not in here; it is kept beside it,
sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from certmill.errors import FailureClass


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeFacts:
    """A challenge that we set up. `record_name`, `zone` and `value` are for dns-01; times in seconds since the epoch."""

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
    """For http-01: how the CA's request comes to the responder (http01.exposure)."""

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
    """Whether the issuer itself failed, or is not there: then the next run begins as soon as the issuer is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The pair that this run put into the Secret."""

    serial: str
    not_before: float
    not_after: float
    renew_at: float = 0.0
    recovered: bool = False
    """Whether runs before this one had failed."""


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
    """The certificate's labels with which the solvers were chosen: the same are asked when the challenges are taken down."""
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

    def to_json(self) -> str:
        """Compact JSON of what is set."""
        return json.dumps(_set(self), default=_fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Facts | None:
        """The facts of a record; "" is a run that has found out nothing yet. None for what another release wrote and this cannot read."""
        try:
            return cls._read(text) if text else cls()
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    @classmethod
    def _read(cls, text: str) -> Facts:
        fields: dict[str, Any] = json.loads(text)
        for name in ("authorizations", "told", "noted"):
            if name in fields:
                fields[name] = tuple(fields[name])
        if "challenges" in fields:
            fields["challenges"] = tuple(ChallengeFacts(**challenge) for challenge in fields["challenges"])
        if "stored" in fields:
            fields["stored"] = Stored(**fields["stored"])
        if "failure" in fields:
            fields["failure"] = _failure(fields["failure"])
        return cls(**fields)

    def without_order(self) -> Facts:
        """The order cannot be used any more. Key and CSR stay, and so do the challenges: they still have to be taken down."""
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

    def reusable(self) -> Facts:
        """What the next run may go on with after this one failed: the order and its CSR, nothing else."""
        return Facts(
            csr=self.csr, order=self.order, finalize=self.finalize, authorizations=self.authorizations, order_expires=self.order_expires
        )


def _set(facts: Facts) -> dict[str, object]:
    """What is set, by name. Twice a step: dataclasses.asdict, which copies deeply, took 3 ms a certificate."""
    return {name: value for name, value in _fields(facts).items() if value not in ("", (), None, False, 0, {})}


def _fields(value: Facts | ChallengeFacts | Failure | Stored) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}


def _failure(fields: Mapping[str, Any]) -> Failure:
    return Failure(
        failure_class=FailureClass(fields["failure_class"]),
        message=fields["message"],
        next_attempt=fields["next_attempt"],
        by_issuer=fields.get("by_issuer", False),
    )
