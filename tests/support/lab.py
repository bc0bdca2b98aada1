"""The lab: an installation of certmill with its own CA and name servers, and manifests for it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from certmill.client import Handle
from certmill.crypto import chain
from certmill.model.manifests.parse import parse_documents
from certmill.model.names import certificate_id
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus
from certmill.runtime import Runtime
from certmill.state.record import Record
from compose.local import LocalCertmill
from compose.servers.bind import Bind
from compose.servers.pebble import Pebble, PebbleProfile
from compose.servers.ports import free_port
from compose.servers.process import Spawn
from tests.support.preloaded import spawn_preloaded
from tests.support.waiting import until

TSIG_SECRET = base64.b64encode(b"a secret of sixteen-and-more bytes").decode()
EAB_SECRET = base64.urlsafe_b64encode(b"m" * 32).decode().rstrip("=")


@dataclass(kw_only=True)
class Lab:
    """Servers and processes in `directory`. `pebble_options`: the fields of Pebble; `settings`: those of
    certmill."""

    directory: Path
    redis_url: str
    pebble_options: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    secondaries: Mapping[str, str] = field(default_factory=dict)
    spawn: Spawn = spawn_preloaded
    bind: Bind = field(init=False)
    pebble: Pebble = field(init=False)
    certmill: LocalCertmill = field(init=False)
    runtime: Runtime = field(init=False)

    def __enter__(self) -> Self:
        tsig = {"certmill": ("hmac-sha256", TSIG_SECRET)}
        self.bind = Bind(
            directory=self.directory / "bind",
            zones=("example.test", "other.test", "lag.test"),
            tsig=tsig,
            secondaries=self.secondaries,
        )
        self.bind.start()
        http01_port = free_port()
        profiles = {
            "default": PebbleProfile(description="90 days"),
            "shortlived": PebbleProfile(description="six days", validity_seconds=6 * 86_400),
            "threeminutes": PebbleProfile(description="three minutes", validity_seconds=180),
        }
        options: dict[str, Any] = {
            "profiles": profiles,
            "alternate_roots": 1,
            "blocked": ("blocked.test",),
        } | dict(self.pebble_options)
        self.pebble = Pebble(
            directory=self.directory / "pebble", dns=self.bind.address, http_port=http01_port, **options
        )
        self.pebble.start()
        settings = {
            "recursive_nameservers": self.bind.address,
            "authoritative_port": str(self.bind.port),
            "http01_port": str(http01_port),
            "step_lease_seconds": "4",
            "step_grace_seconds": "2",
        } | dict(self.settings)
        self.certmill = LocalCertmill(
            directory=self.directory, redis_url=self.redis_url, settings=settings, spawn=self.spawn
        )
        self.certmill.responder_port = http01_port
        self.runtime = self.certmill.open()
        self.apply_issuer("prod")
        return self

    def __exit__(self, *exception: object) -> None:
        self.certmill.stop()
        self.runtime.close()
        self.pebble.stop()
        self.bind.stop()

    def apply(self, *manifests: Mapping[str, object]) -> None:
        """The same as `certmill apply`."""
        documents, errors = parse_documents(yaml.safe_dump_all(manifests), source="test")
        assert not errors, errors
        for document in documents:
            self.runtime.ports.home.apply(document.value, document.text)
        self.runtime.ports.snapshots.request_reread()

    def apply_issuer(
        self,
        name: str,
        *,
        tsig_secret: str = TSIG_SECRET,
        annotations: Mapping[str, str] | None = None,
        **acme: object,
    ) -> None:
        """A ClusterIssuer with DNS-01 by BIND for example.test, HTTP-01 for the rest."""
        tsig = {
            "nameserver": self.bind.address,
            "tsigKeyName": "certmill",
            "tsigAlgorithm": "HMACSHA256",
            "tsigSecretSecretRef": {"name": f"{name}-tsig", "key": "secret"},
        }
        spec = {
            "server": self.pebble.directory_url,
            "caBundle": base64.b64encode(self.pebble.ca_bundle).decode(),
            "email": "ops@example.test",
            "privateKeySecretRef": {"name": f"{name}-account"},
            "solvers": [
                {"http01": {"ingress": {}}},
                {"dns01": {"rfc2136": tsig}, "selector": {"dnsZones": ["example.test", "lag.test"]}},
            ],
        } | acme
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-tsig", "namespace": "cert-manager"},
            "stringData": {"secret": tsig_secret},
        }
        self.apply(
            secret,
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "ClusterIssuer",
                "metadata": {"name": name, "annotations": dict(annotations or {})},
                "spec": {"acme": spec},
            },
        )

    def another_pebble(self, directory: Path, **options: Any) -> Pebble:
        """A second CA, with the same responder and name servers."""
        return Pebble(
            directory=directory / "pebble", dns=self.bind.address, http_port=self.pebble.http_port, **options
        )

    @staticmethod
    def at(pebble: Pebble) -> dict[str, object]:
        """The fields of an issuer for this CA."""
        return {"server": pebble.directory_url, "caBundle": base64.b64encode(pebble.ca_bundle).decode()}

    def request(self, name: str, *dns_names: str, issuer: str = "prod", **spec: Any) -> Handle:
        """Request a certificate as another service does, with an ECDSA key by default."""
        options: dict[str, Any] = {"private_key": {"algorithm": "ECDSA", "size": 256}} | spec
        return self.certmill.client().request(name=name, dns_names=dns_names, issuer=issuer, **options)

    def issue(self, name: str, *dns_names: str, timeout: float = 60.0, **spec: Any) -> chain.Leaf:
        """Request a certificate and wait. Returns the stored leaf."""
        self.request(name, *dns_names, **spec).wait(timeout)
        return self.leaf(name)

    def leaf(self, name: str) -> chain.Leaf:
        """The stored leaf of Certificate default/`name`."""
        return chain.leaf(self.secret(name).data["tls.crt"])

    def secret(self, name: str, namespace: str = "default") -> Secret:
        """The stored Secret."""
        secret = self.runtime.ports.home.secret(namespace, name)
        assert secret is not None, f"Secret {name} is not stored"
        return secret

    def record(self, name: str) -> Record | None:
        """The record in Redis."""
        return self.runtime.ports.records.read(certificate_id("default", name))

    def status(self, name: str) -> CertificateStatus:
        """The status in the home."""
        return self.runtime.ports.home.certificate_status(certificate_id("default", name))

    until = staticmethod(until)
