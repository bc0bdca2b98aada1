"""Defines the status that a home stores for its objects: conditions, the last failure, the account
(cert-manager's status fields)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from certmill.model.ari import AriStatus
from certmill.model.history import PastRun
from certmill.model.persisted import PERSISTED
from certmill.model.reason import Reason
from certmill.model.revocation import Revocation

NO_WORKER = "no worker has taken it up yet"
"""The message for a request, a run or a step that waits in a queue."""

_CONFLICT = (
    "If this message is not transient, you might have two conflicting Certificates pointing to the same "
    "secret."
)
_FAILED = "The certificate request has failed to complete and will be retried: "
_WAITS = "; waiting: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A Kubernetes condition. `reason` is a stable CamelCase word, `message` is one line without secrets,
    `last_transition` is in seconds since the epoch."""

    type: str
    status: bool
    reason: str
    message: str
    last_transition: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """The status of a Certificate. Times are in seconds since the epoch."""

    conditions: tuple[Condition, ...] = ()
    not_before: float | None = None
    not_after: float | None = None
    renewal_time: float | None = None
    revision: int = 0
    last_issuance_time: float | None = None
    last_failure_time: float | None = None
    failed_issuance_attempts: int = 0
    next_attempt: float | None = None
    failed_spec: str = ""
    """The digest of the spec whose run failed last. If the spec has changed, the next run does not wait for
    the back-off."""
    failed_run: str = ""
    """The run whose failure was counted last."""
    asked: bool = field(default=False, compare=False)
    """Whether another program or a person set Issuing=True. It is only read, never written."""
    order: str = ""
    """The URL of the order whose DNS-01 values may still be in DNS. If Redis loses a run, this shows what the
    run has left behind."""
    order_spec: str = ""
    """The digest of the spec of this order."""
    ari: AriStatus | None = None
    """What the CA suggests for the renewal of the stored pair (status.acme.ari); None: it was not asked."""
    history: tuple[PastRun, ...] = ()
    """How the last runs ended, oldest first."""
    revoked: Revocation | None = None
    """The stored certificate was revoked by `certmill revoke`. While it names a compromised key, no pair with
    that key is kept."""
    version: object = field(default=None, compare=False, repr=False, metadata={PERSISTED: False})
    """The version of the home's object that this status was read from. Only the home that set it reads it.
    None: the status was not read from a home."""

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerStatus:
    """The status.acme of an Issuer, with its Ready condition."""

    conditions: tuple[Condition, ...] = ()
    uri: str = ""
    last_registered_email: str = ""
    last_private_key_hash: str = ""
    server: str = ""

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)


def issued_at(status: CertificateStatus) -> float | None:
    """When the stored pair was issued (seconds since the epoch), as far as the status still has it: a home
    stores `last_issuance_time` only while it is needed, and the history has the last runs."""
    if status.last_issuance_time is not None:
        return status.last_issuance_time
    return max((run.at for run in status.history if run.issued), default=None)


def as_of(status: CertificateStatus, now: float) -> CertificateStatus:
    """The status at the time `now` (seconds since the epoch): a pair that has expired is not Ready, even if
    the stored status says so."""
    ready = status.condition("Ready")
    if ready is None or not ready.status or status.not_after is None or now < status.not_after:
        return status
    message = expiry_message(status.not_after)
    over = Condition(
        type=ready.type,
        status=False,
        reason=Reason.EXPIRED.value,
        message=message,
        last_transition=status.not_after,
    )
    return replace(status, conditions=tuple(over if c is ready else c for c in status.conditions))


def expiry_message(not_after: float) -> str:
    """cert-manager's message for a pair that has expired."""
    return f"Certificate expired on {datetime.fromtimestamp(not_after, UTC):%a, %d %b %Y %H:%M:%S} UTC"


def owner_message(owner: str, *, issued: bool) -> str:
    """cert-manager's message of Ready if another Certificate owns the Secret.

    `issued`: the Secret names the owner; otherwise the owner is older and comes first."""
    summary = (
        f'Secret was issued for "{owner}"'
        if issued
        else f'Secret is to be issued for "{owner}", which is older'
    )
    return f"{summary}. {_CONFLICT}"


def owner_of(status: CertificateStatus) -> str:
    """The other Certificate that this one waits for, read from the text of `owner_message`; "" if it waits
    for none, or if Issuing is set."""
    found = status.condition("Ready")
    if (
        found is None
        or found.status
        or found.reason != Reason.INCORRECT_CERTIFICATE
        or status.condition("Issuing") is not None
    ):
        return ""
    return found.message.partition('"')[2].partition('"')[0]


def failed_message(why: str) -> str:
    """cert-manager's message for a failure, in the condition Issuing and in an event."""
    return f"{_FAILED}{why}"


def failure_of(status: CertificateStatus) -> str:
    """Why the last run failed, read from the text of `failed_message`; "" if it did not fail."""
    found = status.condition("Issuing")
    return found.message.removeprefix(_FAILED) if found is not None and not found.status else ""


def waiting_message(message: str, reason: str) -> str:
    """The message of Issuing, with the reason for which its run waits."""
    return f"{message.partition(_WAITS)[0]}{_WAITS}{reason}"


def wait_of(status: CertificateStatus) -> str:
    """The reason for which the run waits, read from the text of `waiting_message`; "" if there is none."""
    found = status.condition("Issuing")
    return found.message.partition(_WAITS)[2] if found is not None and found.status else ""
