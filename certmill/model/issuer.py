"""Defines an ACME Issuer or ClusterIssuer: the parsed, defaulted and validated form of the cert-manager.io/v1
object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from certmill.model.object_ref import CLUSTER_ISSUER, ObjectRef
from certmill.model.rate_limit import LimitName, RateLimit


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededSecret:
    """A Secret value that a DNS-01 provider needs. `purpose` is what messages call it ("TSIG secret")."""

    ref: SecretKeyRef
    purpose: str


class Dns01Config(ABC):
    """solvers[].dns01.<field>, parsed. Each provider's module has its own (certmill.dns01.providers): a
    frozen dataclass, because providers are cached by it."""

    __slots__ = ()

    field: ClassVar[str]
    """The name of the provider's field in a manifest."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[NeededSecret, ...]:
        """The Secret values that the provider needs."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The service or the server, in a few words."""

    @abstractmethod
    def account(self, namespace: str) -> str:
        """The server or the account that the provider writes to, for an issuer of this namespace. Writes to
        one zone of one account are serialised; a slow account does not delay the others."""

    @abstractmethod
    def document(self) -> Mapping[str, object]:
        """The fields as in a manifest. Fields that are not set may be None or empty; a value may be a
        SecretKeyRef."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns01Solver:
    """A DNS-01 provider, and how its records are found and checked. `nameservers`: `host:port` or https://
    URLs that are queried instead of the authoritative servers."""

    provider: Dns01Config
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
    uses_ari: bool = True
    """Whether the CA's renewal information decides the renewal time, if the CA offers it
    (spec.acme.renewalInformationSource)."""
    rate_limits: Mapping[LimitName, RateLimit | None] = field(default_factory=dict)
    """The limits that differ from those that the CA publishes; None: the CA does not have this limit."""
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
        return tuple(
            secret.ref
            for solver in self.solvers
            if solver.dns01 is not None
            for secret in solver.dns01.provider.secrets
        )

    @property
    def ref(self) -> ObjectRef:
        """Its identity among all objects."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)

    @property
    def reference(self) -> str:
        """`ClusterIssuer/name` or `Issuer/namespace/name`: for keys and messages."""
        return str(self.ref)
