"""Defines an ACME Issuer or ClusterIssuer: the parsed, defaulted and validated form of the cert-manager.io/v1
object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from certmill.model.object_ref import CLUSTER_ISSUER, ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKeyRef:
    """A key of a Secret. The Secret of an Issuer is in the Issuer's namespace; that of a ClusterIssuer is in
    the cluster resource namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAccountBinding:
    """The external account binding (RFC 8555 §7.3.4). The Secret's value is the MAC key, base64url without
    padding."""

    key_id: str
    key_secret_ref: SecretKeyRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """The names that a solver is for. Each field that is set must match."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
    dns_names: tuple[str, ...] = ()
    dns_zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressTemplate:
    """http01.ingress.ingressTemplate: additional labels and annotations of the Ingress that is created for a
    challenge."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http01Solver:
    """An HTTP-01 solver. The shared responder answers the CA. The ingress fields say how the CA's request
    reaches it in a cluster.

    A podTemplate is accepted and ignored, because no Pod is created."""

    ingress_class: str | None = None
    ingress_class_name: str | None = None
    ingress_name: str | None = None
    service_type: str | None = None
    ingress_template: IngressTemplate = field(default_factory=IngressTemplate)


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
class Rfc2136:
    """DNS UPDATE (RFC 2136) to `nameserver` (an IP address or a DNS name), with TSIG if a key is given."""

    nameserver: str
    port: int = 53
    tsig_key_name: str = ""
    tsig_secret: SecretKeyRef | None = None
    tsig_algorithm: TsigAlgorithm = TsigAlgorithm.HMACMD5
    protocol: Protocol = Protocol.UDP


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloudflare:
    """Credentials for Cloudflare: exactly one of `api_token` and `api_key`; `email` is needed with
    `api_key`."""

    email: str = ""
    api_token: SecretKeyRef | None = None
    api_key: SecretKeyRef | None = None


Dns01Provider = Rfc2136 | Cloudflare


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns01Solver:
    """A DNS-01 provider, and how its records are found and checked. `nameservers`: `host:port` or https://
    URLs that are queried instead of the authoritative servers."""

    provider: Dns01Provider
    follow_cname: bool = False
    nameservers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """One of spec.acme.solvers: exactly one of http01 and dns01."""

    selector: Selector | None = None
    http01: Http01Solver | None = None
    dns01: Dns01Solver | None = None
    wait_instead_of_self_check: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """spec.acme of an Issuer (with its namespace) or a ClusterIssuer (namespace "")."""

    kind: str
    namespace: str
    name: str
    server: str
    private_key: SecretKeyRef
    email: str = ""
    preferred_chain: str = ""
    ca_bundle: bytes | None = None
    skip_tls_verify: bool = False
    external_account_binding: ExternalAccountBinding | None = None
    disable_account_key_generation: bool = False
    enable_duration: bool = False
    profile: str = ""
    solvers: tuple[Solver, ...] = ()
    account_key_algorithm: str = "RSA-2048"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    uid: str = field(default="", compare=False)
    """The uid that the API server assigned; "" in other homes."""
    deleting: bool = field(default=False, compare=False, repr=False)
    """Whether its deletion has begun (metadata.deletionTimestamp): it exists only until its finalizers are
    done."""

    @property
    def is_cluster_issuer(self) -> bool:
        return self.kind == CLUSTER_ISSUER

    @property
    def credentials(self) -> tuple[SecretKeyRef, ...]:
        """The Secret keys that users create for this issuer: those of its solvers and of its external
        account. The account key is not included."""
        binding = self.external_account_binding
        return (*((binding.key_secret_ref,) if binding is not None else ()), *self.solver_credentials)

    @property
    def solver_credentials(self) -> tuple[SecretKeyRef, ...]:
        """The Secret keys that its DNS-01 solvers need."""
        found: list[SecretKeyRef | None] = []
        for solver in self.solvers:
            match solver.dns01.provider if solver.dns01 else None:
                case Rfc2136(tsig_secret=secret):
                    found.append(secret)
                case Cloudflare(api_token=token, api_key=key):
                    found += [token, key]
                case None:
                    pass
        return tuple(ref for ref in found if ref is not None)

    @property
    def ref(self) -> ObjectRef:
        """Its identity among all objects."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)

    @property
    def reference(self) -> str:
        """`ClusterIssuer/name` or `Issuer/namespace/name`: for keys and messages."""
        return str(self.ref)
