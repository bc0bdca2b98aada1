"""A DNS-01 provider from another Python package: DNS UPDATE with the key's name in a Secret too. certmill
does not import this module: the package names it in the entry point group `certmill.dns01`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from certmill.clock import Clock
from certmill.dns01.base import Provider, ProviderConfig
from certmill.dns01.providers.rfc2136 import Rfc2136, TsigAlgorithm
from certmill.dns01.providers.rfc2136.update import Rfc2136Provider
from certmill.model.identifiers import host_and_port
from certmill.model.issuer import NeededSecret, SecretKeyRef
from certmill.model.manifests.issuer.dns01 import ENTRY_POINTS, ProviderSchema
from certmill.model.manifests.schema import Line, SecretKeySelector, refuse_if, secret_key_ref
from certmill.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedUpdate(ProviderConfig):
    """A name server, and the Secrets with the name and the value of its TSIG key."""

    field: ClassVar[str] = "keyedUpdate"

    server: str
    key_name: SecretKeyRef
    key: SecretKeyRef

    @property
    def secrets(self) -> tuple[NeededSecret, ...]:
        return (
            NeededSecret(ref=self.key_name, purpose="key name"),
            NeededSecret(ref=self.key, purpose="key"),
        )

    @property
    def summary(self) -> str:
        return f"keyed updates, {self.server}"

    def account(self, namespace: str) -> str:
        return f"keyedUpdate {self.server}"

    def document(self) -> Mapping[str, object]:
        return {"server": self.server, "keyNameSecretRef": self.key_name, "keySecretRef": self.key}

    def build(self, credentials: Mapping[SecretKeyRef, str], *, settings: Settings, clock: Clock) -> Provider:
        host, port = host_and_port(self.server)
        config = Rfc2136(
            nameserver=host,
            port=port or 53,
            tsig_key_name=credentials[self.key_name],
            tsig_algorithm=TsigAlgorithm.HMACSHA256,
        )
        return Rfc2136Provider(config, tsig_secret=credentials[self.key])


class KeyedUpdateSchema(ProviderSchema):
    """dns01.keyedUpdate."""

    config_type: ClassVar = KeyedUpdate

    server: Line
    key_name_secret_ref: SecretKeySelector
    key_secret_ref: SecretKeySelector

    def config(self, path: str) -> KeyedUpdate:
        refuse_if(not self.server, "must not be empty", f"{path}.server")
        return KeyedUpdate(
            server=self.server,
            key_name=secret_key_ref(self.key_name_secret_ref),
            key=secret_key_ref(self.key_secret_ref),
        )


def install(directory: Path, value: str = "certmill_keyed_update:KeyedUpdateSchema") -> Path:
    """Write the distribution `certmill-keyed-update` with this module; `value` is that of its entry point.
    Returns the directory for PYTHONPATH."""
    (directory / "certmill_keyed_update.py").write_text(Path(__file__).read_text())
    metadata = directory / "certmill_keyed_update-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: certmill-keyed-update\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nkeyedUpdate = {value}\n")
    return directory
