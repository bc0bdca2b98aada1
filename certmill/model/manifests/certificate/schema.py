"""Schema of a cert-manager.io/v1 Certificate and of a request: all fields, each checked alone.

The fields are those of cert-manager's pkg/apis/certmanager/v1/types_certificate.go, also those that certmill
does not support."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from certmill.model.identifiers import dns_name, ip_address, shown
from certmill.model.manifests.certificate.renewal import Renewal
from certmill.model.manifests.schema import (
    Annotations,
    Duration,
    Labels,
    Line,
    Metadata,
    NamespaceName,
    ObjectName,
    Schema,
    SecretKey,
)

USAGES = (
    "signing",
    "digital signature",
    "content commitment",
    "key encipherment",
    "key agreement",
    "data encipherment",
    "cert sign",
    "crl sign",
    "encipher only",
    "decipher only",
    "any",
    "server auth",
    "client auth",
    "code signing",
    "email protection",
    "s/mime",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "timestamping",
    "ocsp signing",
    "microsoft sgc",
    "netscape sgc",
)
"""What spec.usages may hold (pkg/apis/certmanager/v1/types.go)."""

_EMAIL = re.compile(r"[^\s@<>,:;]{1,64}@[^\s@<>,:;]{1,255}")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,18})){1,32}")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_PRINTABLE_STRING = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")


def usage(text: str) -> str:
    """One of spec.usages. Raises ValueError."""
    if text not in USAGES:
        raise ValueError(f"{shown(text)} is not a usage; known are {', '.join(USAGES)}")
    return text


def email_address(text: str) -> str:
    """An e-mail address, alone. Raises ValueError."""
    if not _EMAIL.fullmatch(text):
        raise ValueError(f"{shown(text)} is not an e-mail address alone, without brackets")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a network such as 192.0.2.0/24") from None
    return text


def _oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise ValueError(f"{shown(text)} is not an object identifier such as 1.3.6.1.4.1.311.20.2.3")
    return text


def _country(text: str) -> str:
    if not _COUNTRY.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a country code of two letters (X.520 countryName)")
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _serial_number(text: str) -> str:
    if not _PRINTABLE_STRING.fullmatch(text):
        raise ValueError("must be an ASN.1 PrintableString: letters, digits, blanks and '()+,./:=?-")
    return text


DnsNames = list[Annotated[str, AfterValidator(dns_name)]]
IpAddresses = list[Annotated[str, AfterValidator(ip_address)]]
Emails = list[Annotated[str, AfterValidator(email_address)]]
FilledLine = Annotated[Line, AfterValidator(_filled)]


class SubjectSchema(Schema):
    """spec.subject."""

    organizations: list[FilledLine] | None = None
    countries: list[Annotated[str, AfterValidator(_country)]] | None = None
    organizational_units: list[FilledLine] | None = None
    localities: list[FilledLine] | None = None
    provinces: list[FilledLine] | None = None
    street_addresses: list[FilledLine] | None = None
    postal_codes: list[FilledLine] | None = None
    serial_number: Annotated[Line, AfterValidator(_serial_number)] | None = None


class PrivateKeySchema(Schema):
    """spec.privateKey."""

    rotation_policy: Literal["Never", "Always"] | None = None
    encoding: Literal["PKCS1", "PKCS8"] | None = None
    algorithm: Literal["RSA", "ECDSA", "Ed25519"] | None = None
    size: int | None = None


class IssuerRefSchema(Schema):
    """spec.issuerRef."""

    name: ObjectName
    kind: Line | None = None
    group: Line | None = None


class SecretTemplateSchema(Schema):
    """spec.secretTemplate."""

    labels: Labels | None = None
    annotations: Annotations | None = None


class OutputFormatSchema(Schema):
    """One of spec.additionalOutputFormats."""

    type: Literal["DER", "CombinedPEM"]


class OtherName(Schema):
    """One of spec.otherNames."""

    oid: Annotated[str, AfterValidator(_oid)]
    utf8_value: Annotated[Line, AfterValidator(_filled)] = Field(alias="utf8Value")


class NameConstraintItem(Schema):
    """spec.nameConstraints.permitted and .excluded."""

    dns_domains: list[Line] | None = None
    ip_ranges: list[Annotated[str, AfterValidator(_network)]] | None = None
    email_addresses: list[Line] | None = None
    uri_domains: list[Line] | None = None


class NameConstraints(Schema):
    """spec.nameConstraints."""

    critical: bool | None = None
    permitted: NameConstraintItem | None = None
    excluded: NameConstraintItem | None = None


class PasswordSecretRef(Schema):
    """A key of a Secret; its name may be empty where a literal password is given."""

    name: Line
    key: SecretKey | None = None


class Keystore(Schema):
    """What both keystores have."""

    create: bool
    password_secret_ref: PasswordSecretRef | None = None
    password: str | None = Field(default=None, repr=False)


class JksKeystore(Keystore):
    """spec.keystores.jks."""

    alias: Line | None = None


class Pkcs12Keystore(Keystore):
    """spec.keystores.pkcs12."""

    profile: Literal["LegacyRC2", "LegacyDES", "Modern2023", "Modern2026"] | None = None


class Keystores(Schema):
    """spec.keystores."""

    jks: JksKeystore | None = None
    pkcs12: Pkcs12Keystore | None = None


class RequestSpec(Schema):
    """spec of a request: the Secret's name may be left out."""

    secret_name: ObjectName | None = None
    issuer_ref: IssuerRefSchema
    subject: SubjectSchema | None = None
    literal_subject: Line | None = None
    common_name: Line | None = None
    dns_names: DnsNames | None = None
    ip_addresses: IpAddresses | None = None
    uris: list[Annotated[Line, AfterValidator(_filled)]] | None = None
    email_addresses: Emails | None = None
    other_names: list[OtherName] | None = None
    duration: Duration | None = None
    renew_before: Duration | None = None
    renew_before_percentage: int | None = None
    renewal: Renewal | None = None
    private_key: PrivateKeySchema | None = None
    signature_algorithm: Line | None = None
    usages: list[Annotated[str, AfterValidator(usage)]] | None = None
    encode_usages_in_request: bool | None = None
    is_ca: bool | None = Field(default=None, alias="isCA")
    name_constraints: NameConstraints | None = None
    revision_history_limit: int | None = None
    secret_template: SecretTemplateSchema | None = None
    keystores: Keystores | None = None
    additional_output_formats: list[OutputFormatSchema] | None = None


class CertificateSpec(RequestSpec):
    """spec of a manifest."""

    secret_name: ObjectName


class CertificateManifest(Schema):
    """A whole Certificate."""

    api_version: Literal["cert-manager.io/v1"]
    kind: Literal["Certificate"]
    metadata: Metadata
    spec: CertificateSpec
    status: object = None


class Request(Schema):
    """contract.RequestBody."""

    name: ObjectName
    namespace: NamespaceName | None = None
    spec: RequestSpec


class Renew(Schema):
    """contract.RenewBody."""

    name: ObjectName
    namespace: NamespaceName | None = None
