"""Every error certmill raises, drawn as a tree. A message says what failed, for which name, and what to do
next.

CertmillError
├── Temporary                 a later try may succeed; `retry_after` is seconds, or None: its class' back-off
│   ├── CAUnavailable         5xx, connection refused or cut, time-out, malformed answer, badNonce too often
│   ├── RateLimited           429, or a problem document of type rateLimited (RFC 8555 §6.6)
│   ├── DnsUnavailable        a name server did not answer, or answered SERVFAIL
│   ├── ProviderUnavailable   a DNS provider's API is down or slow, or answers that requests come too fast
│   ├── HomeUnavailable       the home cannot be read or written now (disk full, read-only, API server away)
│   ├── Conflict              an object of the API changed since it was read; read it again
│   ├── WatchExpired          the API server no longer has the version from which a watch starts; list again
│   ├── StateUnavailable      Redis is away
│   ├── NewerRelease          a newer release wrote a value in a version that this release cannot read
│   └── Busy                  another process holds the lock; nothing is wrong
│       └── RegistrationPostponed  the CA failed to register an account; its back-off has not ended
└── Permanent                 the same request would fail again until a person or time changes something
    ├── InvalidManifest       a manifest or a request is wrong; `path` names the field
    ├── Forbidden             the Kubernetes API refuses the request: a role is missing
    ├── NotFound              an object that a manifest refers to is not in the home
    ├── SecretUnusable        a Secret exists, but its content cannot be used
    │   └── SealKeyMissing    a value was sealed with a key that this process does not have
    ├── AccountRefused        the CA refuses the account: EAB missing, account deactivated, key refused
    ├── OrderRefused          the CA refuses this order or CSR: unknown profile, bad CSR
    │   └── OrderNotReady     finalize was sent before the order was ready, or twice (RFC 8555 §7.4)
    ├── NameRefused           the CA refuses a name, or its challenge failed: dns, caa, connection …
    ├── OrderGone             the order or authorization is unknown to the CA or has expired; create a new one
    ├── SolverMisconfigured   no solver matches, or a provider refuses the credentials
    ├── CertificateWrong      the certificate has another key or other names than requested
    ├── OtherInstallation     another installation of certmill uses this Redis
    ├── DamagedValue          no release writes this persisted value
    └── StepKeepsDying        a step was begun too often without an end; it is parked
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class FailureClass(StrEnum):
    """What a failure means for the next attempt (design §4)."""

    TRANSIENT = "transient"
    RATE_LIMITED = "rate-limited"
    CA_REFUSES_US = "ca-refuses-us"
    NAME_IS_WRONG = "name-is-wrong"
    CONFIGURATION = "configuration"


class CertmillError(Exception):
    """The root. `str(error)` is one clean line without secrets, fit for a condition, an event and Flower."""

    failure_class = FailureClass.TRANSIENT

    acme_type = ""
    """The CA's own word for it, where a CA said it: alreadyReplaced, conflict, unauthorized … (RFC 8555 §6.7,
    without its URN)."""


class Temporary(CertmillError):
    """Trying again later may help."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CAUnavailable(Temporary):
    """The CA did not answer, or answered 5xx or nonsense."""


class RateLimited(Temporary):
    """The CA asks us to slow down. Never terminal."""

    failure_class = FailureClass.RATE_LIMITED


class DnsUnavailable(Temporary):
    """A name server did not answer, or answered with an error."""


class ProviderUnavailable(Temporary):
    """A DNS provider's API is down, slow, or asks us to slow down."""


class HomeUnavailable(Temporary):
    """The home cannot be read or written now."""


class Conflict(Temporary):
    """An object of the API changed, or was made, since it was read."""


class WatchExpired(Temporary):
    """A watch, or a list in pages, goes on from what the API server has forgotten."""


class StateUnavailable(Temporary):
    """Redis is away."""


class NewerRelease(Temporary):
    """A newer release wrote a value, in a version that this one cannot read: a newer process has to go on
    with it."""


class Busy(Temporary):
    """Somebody else holds what we need; nothing is wrong."""


class RegistrationPostponed(Busy):
    """A request to register the account has failed for a time, and its back-off has not ended."""


class Permanent(CertmillError):
    """The same request would fail again until a person, or time, changes something."""

    failure_class = FailureClass.CONFIGURATION


class InvalidManifest(Permanent):
    """A manifest or request is wrong. `path` names the field, as in `spec.dnsNames[0]`."""

    def __init__(self, message: str, *, path: str = "", source: str = "") -> None:
        super().__init__(": ".join(part for part in (source, path, message) if part))
        self.path = path
        self.source = source
        self.reason = message


class Forbidden(Permanent):
    """The Kubernetes API refuses us. The message has the server's words, which name the right that is
    missing."""


class NotFound(Permanent):
    """An object that was named is not in the home."""


class SecretUnusable(Permanent):
    """A Secret is there, but a key is missing from it or its content cannot be used."""


class SealKeyMissing(SecretUnusable):
    """What another process has sealed cannot be opened here: this process does not have its key (yet, or any
    more)."""


class AccountRefused(Permanent):
    """The CA refuses our account."""

    failure_class = FailureClass.CA_REFUSES_US


class OrderRefused(Permanent):
    """The CA refuses this order or CSR, for a reason that is not one of its names."""


class OrderNotReady(OrderRefused):
    """The order is not ready to be finalized: too early, or it was finalized already. Look at the order."""


class NameRefused(Permanent):
    """The CA refuses a name, or the challenge for it failed. `identifiers` are the names it is about."""

    failure_class = FailureClass.NAME_IS_WRONG

    def __init__(self, message: str, *, identifiers: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.identifiers = tuple(identifiers)


class OrderGone(Permanent):
    """The CA does not know the order or authorization any more, or it has expired or is not valid. The run
    creates a new order with the same key."""

    failure_class = FailureClass.TRANSIENT


class SolverMisconfigured(Permanent):
    """No solver matches a name, or a provider refuses our credentials."""


class CertificateWrong(Permanent):
    """The issued certificate does not carry our key or our names. It is not stored; each attempt costs a real
    certificate."""

    failure_class = FailureClass.NAME_IS_WRONG


class OtherInstallation(Permanent):
    """Redis is in use by an installation with another home."""


class DamagedValue(Permanent):
    """A value in Redis or in the home is none that any release writes."""

    failure_class = FailureClass.TRANSIENT


class StepKeepsDying(Permanent):
    """A step was begun too often without coming to an end."""

    failure_class = FailureClass.NAME_IS_WRONG
