"""The DNS-01 provider `rfc2136` (DNS UPDATE): its fields in a manifest, their rules, and its Secret. `update`
has the client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal

from certmill.clock import Clock
from certmill.dns01.base import Provider, ProviderConfig
from certmill.errors import InvalidManifest
from certmill.model.identifiers import host_and_port, shown
from certmill.model.issuer import NeededSecret, SecretKeyRef
from certmill.model.manifests.issuer.dns01 import ProviderSchema
from certmill.model.manifests.schema import Line, OptionalSecretKeySelector, refuse_if, secret_key_ref

if TYPE_CHECKING:
    from certmill.settings import Settings

_DNS_PORT = 53
_TSIG_KEY_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


class TsigAlgorithm(StrEnum):
    """rfc2136.tsigAlgorithm."""

    HMACMD5 = "HMACMD5"
    HMACSHA1 = "HMACSHA1"
    HMACSHA256 = "HMACSHA256"
    HMACSHA512 = "HMACSHA512"


class Protocol(StrEnum):
    """rfc2136.protocol."""

    UDP = "UDP"
    TCP = "TCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rfc2136(ProviderConfig):
    """DNS UPDATE (RFC 2136) to `nameserver` (an IP address or a DNS name), with TSIG if a key is given."""

    field: ClassVar[str] = "rfc2136"

    nameserver: str
    port: int = _DNS_PORT
    tsig_key_name: str = ""
    tsig_secret: SecretKeyRef | None = None
    tsig_algorithm: TsigAlgorithm = TsigAlgorithm.HMACMD5
    protocol: Protocol = Protocol.UDP

    @property
    def secrets(self) -> tuple[NeededSecret, ...]:
        """The TSIG secret, if there is a key."""
        ref = self.tsig_secret
        return (NeededSecret(ref=ref, purpose="TSIG secret"),) if ref is not None else ()

    @property
    def summary(self) -> str:
        """The name server, with the port if it is not 53."""
        server = self.nameserver if self.port == _DNS_PORT else self._address
        return f"RFC 2136, {server}"

    def account(self, namespace: str) -> str:
        """One for each name server, whatever the key."""
        return f"rfc2136 {self.nameserver}:{self.port}"

    def document(self) -> Mapping[str, object]:
        """The fields as in a manifest."""
        return {
            "nameserver": self._address,
            "tsigKeyName": self.tsig_key_name,
            "tsigSecretSecretRef": self.tsig_secret,
            "tsigAlgorithm": self.tsig_algorithm.value if self.tsig_key_name else None,
            "protocol": self.protocol.value,
        }

    def build(self, credentials: Mapping[SecretKeyRef, str], *, settings: Settings, clock: Clock) -> Provider:
        """Return a client of the name server."""
        from certmill.dns01.providers.rfc2136.update import Rfc2136Provider

        secret = credentials[self.tsig_secret] if self.tsig_secret is not None else None
        return Rfc2136Provider(self, tsig_secret=secret)

    @property
    def _address(self) -> str:
        host = f"[{self.nameserver}]" if ":" in self.nameserver else self.nameserver
        return f"{host}:{self.port}"


class Rfc2136Schema(ProviderSchema):
    """dns01.rfc2136."""

    config_type: ClassVar = Rfc2136

    nameserver: Line
    tsig_key_name: Line | None = None
    tsig_secret_secret_ref: OptionalSecretKeySelector = None
    tsig_algorithm: Line | None = None
    protocol: Literal["UDP", "TCP"] | None = None

    def config(self, path: str) -> Rfc2136:
        """Check the fields together, as cert-manager does; the name of the key must be a DNS name."""
        try:
            host, port = host_and_port(self.nameserver.strip())
        except ValueError as error:
            raise InvalidManifest(str(error), path=f"{path}.nameserver") from None
        secret = self.tsig_secret_secret_ref
        return Rfc2136(
            nameserver=host,
            port=port or _DNS_PORT,
            tsig_key_name=self._key_name(path),
            tsig_secret=secret_key_ref(secret) if secret is not None else None,
            tsig_algorithm=self._algorithm(path),
            protocol=Protocol(self.protocol or "UDP"),
        )

    def _key_name(self, path: str) -> str:
        name, has_secret = self.tsig_key_name or "", self.tsig_secret_secret_ref is not None
        refuse_if(
            bool(name) and not has_secret, "is required with tsigKeyName", f"{path}.tsigSecretSecretRef"
        )
        refuse_if(has_secret and not name, "is required with tsigSecretSecretRef", f"{path}.tsigKeyName")
        refuse_if(
            bool(name) and not _TSIG_KEY_NAME.fullmatch(name),
            f"{shown(name)} is not a valid name of a key",
            f"{path}.tsigKeyName",
        )
        return name

    def _algorithm(self, path: str) -> TsigAlgorithm:
        algorithm = (self.tsig_algorithm or "HMACMD5").upper()
        known = list(TsigAlgorithm)
        refuse_if(
            algorithm not in known,
            f"must be {', '.join(known[:-1])} or {known[-1]}",
            f"{path}.tsigAlgorithm",
        )
        return TsigAlgorithm(algorithm)


PROVIDER = Rfc2136Schema
