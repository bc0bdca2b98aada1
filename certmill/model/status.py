"""What a home keeps about its objects besides what is wanted: conditions, the last failure, the account
(cert-manager's status fields)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from certmill.model.history import PastRun
from certmill.model.persisted import PERSISTED

INVALID_SPEC = "InvalidSpec"
"""Reason of a Certificate that cannot be used as it is: no policy of cert-manager's is about that, its
webhook would have refused it."""


MANUALLY_TRIGGERED = "ManuallyTriggered"
"""Reason of Issuing where a person asked for the run (`cmctl renew`)."""

NO_WORKER = "no worker has taken it up yet"
"""What is said of a request, a run or a step that waits in a queue."""

EXPIRED = "Expired"
"""Reason of Ready once the pair's time is over."""

INCORRECT_CERTIFICATE = "IncorrectCertificate"
"""Reason of Ready while the Secret is another Certificate's."""

_CONFLICT = (
    "If this message is not transient, you might have two conflicting Certificates pointing to the same "
    "secret."
)
_FAILED = "The certificate request has failed to complete and will be retried: "
_WAITS = "; waiting: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A Kubernetes condition. `reason` is a stable CamelCase word, `message` one line without secrets; time
    in seconds since the epoch."""

    type: str
    status: bool
    reason: str
    message: str
    last_transition: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """status of a Certificate; instants in seconds since the epoch."""

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
    """Digest of the spec whose issuance failed last: a changed spec does not wait for the back-off."""
    failed_run: str = ""
    """The run whose failure was counted last."""
    asked: bool = field(default=False, compare=False)
    """Whether somebody else set Issuing=True. It is read, and never written."""
    order: str = ""
    """The URL of the order whose DNS-01 values may be up: what a run that is lost with Redis has left
    behind."""
    order_spec: str = ""
    """Digest of the spec that this order is for."""
    history: tuple[PastRun, ...] = ()
    """How the last runs ended, oldest first."""
    version: object = field(default=None, compare=False, repr=False, metadata={PERSISTED: False})
    """Which state of the home this status was read from. Only the home that set it reads it; None: the status
    was not read from a home."""

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerStatus:
    """status.acme of an Issuer, with its Ready condition."""

    conditions: tuple[Condition, ...] = ()
    uri: str = ""
    last_registered_email: str = ""
    last_private_key_hash: str = ""
    server: str = ""

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)


def as_of(status: CertificateStatus, now: float) -> CertificateStatus:
    """The status as the clock has it: a pair whose time is over is not Ready, whatever was written while it
    lasted."""
    ready = status.condition("Ready")
    if ready is None or not ready.status or status.not_after is None or now < status.not_after:
        return status
    message = expiry_message(status.not_after)
    over = Condition(
        type=ready.type, status=False, reason=EXPIRED, message=message, last_transition=status.not_after
    )
    return replace(status, conditions=tuple(over if c is ready else c for c in status.conditions))


def expiry_message(not_after: float) -> str:
    """What is said of a pair that is valid no more, as cert-manager does."""
    return f"Certificate expired on {datetime.fromtimestamp(not_after, UTC):%a, %d %b %Y %H:%M:%S} UTC"


def owner_message(owner: str, *, issued: bool) -> str:
    """How Ready tells, in cert-manager's words, that the Secret is another Certificate's.

    `issued`: the Secret says so; else that one is older and comes first.
    """
    told = (
        f'Secret was issued for "{owner}"'
        if issued
        else f'Secret is to be issued for "{owner}", which is older'
    )
    return f"{told}. {_CONFLICT}"


def owner_of(status: CertificateStatus) -> str:
    """The other Certificate that this one waits for, as `owner_message` told it; "" if it waits for none, or
    a run is under way."""
    found = status.condition("Ready")
    if (
        found is None
        or found.status
        or found.reason != INCORRECT_CERTIFICATE
        or status.condition("Issuing") is not None
    ):
        return ""
    return found.message.partition('"')[2].partition('"')[0]


def failed_message(why: str) -> str:
    """How a failure is told, in the condition Issuing and in an event, as cert-manager does."""
    return f"{_FAILED}{why}"


def failure_of(status: CertificateStatus) -> str:
    """Why the last run failed, as `failed_message` told it; "" if none did."""
    found = status.condition("Issuing")
    return found.message.removeprefix(_FAILED) if found is not None and not found.status else ""


def waiting_message(message: str, reason: str) -> str:
    """The message of Issuing, with what its run waits for."""
    return f"{message.partition(_WAITS)[0]}{_WAITS}{reason}"


def wait_of(status: CertificateStatus) -> str:
    """What the run waits for, as `waiting_message` told it; "" if it tells of none."""
    found = status.condition("Issuing")
    return found.message.partition(_WAITS)[2] if found is not None and found.status else ""
