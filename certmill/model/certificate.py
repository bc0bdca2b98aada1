"""A Certificate as certmill understands it: cert-manager.io/v1 Certificate, parsed, defaulted and
validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from certmill.model.names import CertificateId, Identifier, IdentifierType, certificate_id


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
    """spec.privateKey.rotationPolicy: whether a re-issue makes a new key (the default) or keeps the old
    one."""

    ALWAYS = "Always"
    NEVER = "Never"


class OutputFormat(StrEnum):
    """spec.additionalOutputFormats[].type: key.der, and tls-combined.pem."""

    DER = "DER"
    COMBINED_PEM = "CombinedPEM"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeySpec:
    """spec.privateKey with its defaults; size in bits (RSA) or of the curve (ECDSA), 0 for Ed25519, which has
    one size only."""

    algorithm: KeyAlgorithm = KeyAlgorithm.RSA
    size: int = 2048
    encoding: KeyEncoding = KeyEncoding.PKCS1
    rotation_policy: RotationPolicy = RotationPolicy.ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRef:
    """spec.issuerRef. `group` is kept verbatim: the Secret's annotation repeats it."""

    name: str
    kind: str = "Issuer"
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """spec.subject: goes into the CSR; most ACME CAs ignore it."""

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
    """What is wanted. Names are lower-case A-labels (IDNA), IP addresses in their canonical text form."""

    namespace: str
    name: str
    secret_name: str
    issuer_ref: IssuerRef
    common_name: str = ""
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    duration: timedelta | None = None
    renew_before: timedelta | None = None
    renew_before_percentage: int | None = None
    private_key: PrivateKeySpec = field(default_factory=PrivateKeySpec)
    subject: Subject = field(default_factory=Subject)
    literal_subject: str = ""
    """RFC 4514, in place of `subject`; `common_name` repeats what it has of one."""
    usages: tuple[str, ...] = ("digital signature", "key encipherment")
    encode_usages_in_request: bool = True
    signature_algorithm: str = ""
    secret_template: SecretTemplate = field(default_factory=SecretTemplate)
    additional_output_formats: tuple[OutputFormat, ...] = ()
    is_ca: bool = False
    """Asked for in the request. An ACME CA ignores it, so a certificate that is no CA's is right all the
    same."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    created: float = field(default=0.0, compare=False, repr=False)
    """When the home first had it, in seconds since the epoch; 0: not known. Of several Certificates that
    name one Secret, the oldest owns it."""
    uid: str = field(default="", compare=False)
    """The API server's; "" elsewhere."""
    deleting: bool = field(default=False, compare=False, repr=False)
    """Whether its deletion has begun (metadata.deletionTimestamp): it is there only until its finalizers are
    done."""

    @property
    def id(self) -> CertificateId:
        return certificate_id(self.namespace, self.name)

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """What an order asks for: every DNS name and IP address once, in a stable order."""
        names = {Identifier(type=IdentifierType.DNS, value=name) for name in self.dns_names}
        addresses = {Identifier(type=IdentifierType.IP, value=address) for address in self.ip_addresses}
        return tuple(sorted(names | addresses))
