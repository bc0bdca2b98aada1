"""The protocol of a DNS-01 provider: add and remove one TXT value among several at a name; and the
configuration from which a provider is built."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from certmill.clock import Clock
from certmill.model.issuer import Dns01Config, SecretKeyRef

if TYPE_CHECKING:
    from certmill.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TxtRecord:
    """One TXT value. `name` and `zone` are absolute names without the final dot, in lower case
    (`_acme-challenge.example.com`, `example.com`)."""

    name: str
    value: str
    zone: str
    ttl_seconds: int = 60


class Provider(Protocol):
    """A DNS provider's API. Each call is quick (seconds), has time-outs, and may be repeated with the same
    effect.

    Raises ProviderUnavailable (with retry_after if the provider gives one) when a retry may help. Raises
    SolverMisconfigured, with what to do, when the provider refuses our credentials or does not know the zone.
    No message contains a credential or the provider's raw answer.
    """

    def present(self, record: TxtRecord) -> None:
        """Add this value; other values at the name stay. If the value exists already, this is no error and
        adds no second copy."""
        ...

    def cleanup(self, record: TxtRecord) -> None:
        """Remove this value only. If it does not exist, this is no error. Works even if `present` did not."""
        ...


class BatchProvider(Provider, Protocol):
    """A provider that can write several values of one zone in one request."""

    def present_all(self, records: Sequence[TxtRecord]) -> None:
        """As `present`, for records of one zone."""
        ...

    def cleanup_all(self, records: Sequence[TxtRecord]) -> None:
        """As `cleanup`, for records of one zone."""
        ...


class ProviderConfig(Dns01Config):
    """A provider's fields of a manifest, parsed, from which the provider is built."""

    __slots__ = ()

    @abstractmethod
    def build(self, credentials: Mapping[SecretKeyRef, str], *, settings: Settings, clock: Clock) -> Provider:
        """Return the provider. `credentials` has the value of each of `secrets`, without white space at its
        ends. This sends no request.

        Raises SecretUnusable or SolverMisconfigured; the message contains no credential.
        """
        ...
