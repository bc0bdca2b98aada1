"""Defines a Certificate: the parsed, defaulted and validated form of a cert-manager.io/v1 Certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from certmill.model.names import CertificateId, Identifier, IdentifierType, certificate_id
from certmill.model.object_ref import CERTIFICATE, ISSUER, ObjectRef


class KeyAlgorithm(StrEnum):
    """spec.privateKey.algorithm."""

    RSA = "RSA"
    ECDSA = "ECDSA"
    ED25519 = "Ed25519"


class KeyEncoding(StrEnum):
    """spec.privateKey.encoding: the PEM form of tls.key."""

    PKCS1 = "PKCS1"
    PKCS8 = "PKCS8"


class RotationPolicy(StrEnum):
    """spec.privateKey.rotationPolicy: whether a re-issue creates a new key (the default) or uses the old one
    again."""

    ALWAYS = "Always"
    NEVER = "Never"


class OutputFormat(StrEnum):
    """spec.additionalOutputFormats[].type: key.der, and tls-combined.pem."""

    DER = "DER"
    COMBINED_PEM = "CombinedPEM"


class RenewalPolicy(StrEnum):
    """spec.renewal.policy: whether the certificate is renewed because of its age."""

    RENEW_BEFORE = "RenewBefore"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalWindow:
    """One of spec.renewal.windows: it opens at each time of the cron expression, in the time zone, and stays
    open for the duration."""

    cron: str
    duration: timedelta
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeySpec:
    """spec.privateKey with its defaults. `size`: bits of an RSA key or of an ECDSA curve; 0 for Ed25519,
    which has only one size."""

    algorithm: KeyAlgorithm = KeyAlgorithm.RSA
    size: int = 2048
    encoding: KeyEncoding = KeyEncoding.PKCS1
    rotation_policy: RotationPolicy = RotationPolicy.ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRef:
    """spec.issuerRef. `group` is stored exactly as written, because the Secret's annotation repeats it."""

    name: str
    kind: str = "Issuer"
    group: str = ""

    def within(self, namespace: str) -> ObjectRef:
        """The identity of this issuer for a Certificate in this namespace. Without a kind it is an Issuer."""
        return ObjectRef.of(self.kind or ISSUER, namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """spec.subject: it is part of the CSR; most ACME CAs ignore it."""

    organizations: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    organizational_units: tuple[str, ...] = ()
    localities: tuple[str, ...] = ()
    provinces: tuple[str, ...] = ()
    street_addresses: tuple[str, ...] = ()
    postal_codes: tuple[str, ...] = ()
    serial_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretTemplate:
    """spec.secretTemplate: labels and annotations to put on the Secret."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The desired state. DNS names are lower-case A-labels (IDNA), IP addresses are in canonical text
    form."""

    namespace: str
    name: str
    secret_name: str
    issuer_ref: IssuerRef
    fallback_issuers: tuple[IssuerRef, ...] = ()
    """The issuers that may issue in place of the first one, in order of preference: those of the annotation.
    Without the annotation, those of the first issuer's annotation (candidates.with_fallbacks)."""
    common_name: str = ""
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    duration: timedelta | None = None
    renew_before: timedelta | None = None
    renew_before_percentage: int | None = None
    renewal_policy: RenewalPolicy = RenewalPolicy.RENEW_BEFORE
    renewal_windows: tuple[RenewalWindow, ...] = ()
    """When a renewal may begin; empty: at any time."""
    private_key: PrivateKeySpec = field(default_factory=PrivateKeySpec)
    subject: Subject = field(default_factory=Subject)
    literal_subject: str = ""
    """A name in the form of RFC 4514, used instead of `subject`. `common_name` repeats its common name, if it
    has one."""
    usages: tuple[str, ...] = ("digital signature", "key encipherment")
    encode_usages_in_request: bool = True
    signature_algorithm: str = ""
    secret_template: SecretTemplate = field(default_factory=SecretTemplate)
    additional_output_formats: tuple[OutputFormat, ...] = ()
    is_ca: bool = False
    """Whether the CSR asks for a CA certificate. An ACME CA ignores this, so a certificate that is not a CA
    certificate is accepted too."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    created: float = field(default=0.0, compare=False, repr=False)
    """When the home first stored it, in seconds since the epoch; 0: not known. If several Certificates name
    one Secret, the oldest owns it."""
    uid: str = field(default="", compare=False)
    """The uid that the API server assigned; "" in other homes."""
    deleting: bool = field(default=False, compare=False, repr=False)
    """Whether its deletion has begun (metadata.deletionTimestamp): it exists only until its finalizers are
    done."""

    @property
    def id(self) -> CertificateId:
        return certificate_id(self.namespace, self.name)

    @property
    def ref(self) -> ObjectRef:
        """Its identity among all objects."""
        return ObjectRef(kind=CERTIFICATE, namespace=self.namespace, name=self.name)

    @property
    def issuer(self) -> ObjectRef:
        """The identity of the issuer that spec.issuerRef names."""
        return self.issuer_ref.within(self.namespace)

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """The identifiers of an order: every DNS name and IP address once, in a stable order."""
        names = {Identifier(type=IdentifierType.DNS, value=name) for name in self.dns_names}
        addresses = {Identifier(type=IdentifierType.IP, value=address) for address in self.ip_addresses}
        return tuple(sorted(names | addresses))
