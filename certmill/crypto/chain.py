"""Certificate chains in PEM: read the leaf, choose between chains, and check an issued chain. Sizes are
limited before parsing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from certmill.crypto import keys
from certmill.crypto.cert_id import cert_id
from certmill.errors import CertificateWrong, SecretUnusable
from certmill.model.certificate import Certificate, Subject

MAX_LEAF_BYTES = 36_500
"""A larger leaf is not parsed (cert-manager's limit after GHSA-r4pg-vg54-wxx4). A leaf with 100 long names
and an RSA key of 8192 bits is smaller."""

MAX_CHAIN_BYTES = 262_144
"""A larger chain is not accepted from a CA, not stored and not parsed. Two chains of this size (tls.crt and
tls-combined.pem) and two keys fit into a Secret, which Kubernetes limits to 1 MiB."""

_END = b"-----END CERTIFICATE-----"
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The fields of a chain's first certificate. `serial`: hex. Times: seconds since the epoch. `public_key`:
    SHA-256 of its SPKI, hex."""

    serial: str
    not_before: float
    not_after: float
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    uris: tuple[str, ...]
    email_addresses: tuple[str, ...]
    common_name: str
    subject: Subject
    public_key: str
    issuer_common_name: str
    cert_id: str = ""
    """Its identifier for the CA's renewal information (`crypto.cert_id`); "" if it has none."""


@lru_cache(maxsize=64)  # the step that stores a chain reads it three times
def leaf(pem_chain: bytes) -> Leaf:
    """Read the first certificate; the whole chain must be readable. Raises SecretUnusable; the message does
    not contain the chain."""
    certificate = _load(pem_chain)[0]
    try:
        names = _alternative_names(certificate)
        return Leaf(
            serial=f"{certificate.serial_number:x}",
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
            dns_names=tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)),
            ip_addresses=tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
            uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
            email_addresses=tuple(names.get_values_for_type(x509.RFC822Name)),
            common_name=_common_name(certificate.subject),
            subject=_subject(certificate.subject),
            public_key=_fingerprint(certificate.public_key()),
            issuer_common_name=_common_name(certificate.issuer),
            cert_id=cert_id(certificate),
        )
    except _UNREADABLE:
        raise SecretUnusable("the first certificate has a field that cannot be read") from None


def oversize(pem_chain: bytes) -> str:
    """Why the chain is larger than the limits above; "" if it is within them."""
    if len(pem_chain) > MAX_CHAIN_BYTES:
        return f"the certificate chain is larger than {MAX_CHAIN_BYTES} bytes"
    if pem_chain.find(_END) > MAX_LEAF_BYTES:
        return f"the first certificate is larger than {MAX_LEAF_BYTES} bytes"
    return ""


def split(pem_chain: bytes) -> tuple[bytes, ...]:
    """The chain's certificates, PEM each, leaf first. Raises SecretUnusable."""
    return tuple(certificate.public_bytes(Encoding.PEM) for certificate in _load(pem_chain))


def top_issuer_common_name(pem_chain: bytes) -> str:
    """The issuer common name of the last certificate, to compare with `preferredChain`. Raises
    SecretUnusable."""
    try:
        return _common_name(_load(pem_chain)[-1].issuer)
    except _UNREADABLE:
        raise SecretUnusable("the last certificate has a field that cannot be read") from None


def choose(default_pem: str, alternates: Iterable[str], preferred: str) -> str:
    """The first chain whose last certificate was issued by `preferred`; the default chain if there is none,
    or if `preferred` is "". Alternates are downloaded one by one until one matches."""
    if not preferred or _ends_at(default_pem, preferred):
        return default_pem
    return next((pem for pem in alternates if _ends_at(pem, preferred)), default_pem)


def key_of(pem: bytes) -> str:
    """The SHA-256 (hex) of a private key's SPKI, to compare with `Leaf.public_key`. Raises SecretUnusable."""
    return _fingerprint(keys.load(pem).public_key())


def check(pem_chain: bytes, key_pem: bytes, certificate: Certificate, *, now: float) -> None:
    """Check that an issued chain has our key and our names, and has not expired. Raises CertificateWrong,
    which lists the differences."""
    try:
        found = leaf(pem_chain)
    except SecretUnusable as error:
        raise CertificateWrong(
            f"the CA's answer for {certificate.id} is not a certificate chain: {error}"
        ) from None
    differs = []
    if found.public_key != key_of(key_pem):
        differs.append("its key is not the key of the request")
    differs += _names_that_differ("DNS names", found.dns_names, certificate.dns_names)
    differs += _names_that_differ("IP addresses", found.ip_addresses, certificate.ip_addresses)
    # A CA may omit the common name (some profiles of Let's Encrypt do), but must not change it.
    if certificate.common_name and found.common_name not in ("", certificate.common_name):
        differs.append("its common name is not the requested one")
    if found.not_after <= now:
        differs.append("it has expired")
    if differs:
        raise CertificateWrong(
            f"the certificate that the CA issued for {certificate.id} is not stored: {'; '.join(differs)}"
        )


def _load(pem_chain: bytes) -> list[x509.Certificate]:
    if reason := oversize(pem_chain):
        raise SecretUnusable(reason)
    try:
        return x509.load_pem_x509_certificates(pem_chain)
    except _UNREADABLE:
        raise SecretUnusable("the certificate chain is not readable PEM") from None


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _values(name: x509.Name, identifier: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(attribute.value) for attribute in name.get_attributes_for_oid(identifier))


def _common_name(name: x509.Name) -> str:
    return ("", *_values(name, NameOID.COMMON_NAME))[-1]


def _subject(name: x509.Name) -> Subject:
    return Subject(
        organizations=_values(name, NameOID.ORGANIZATION_NAME),
        countries=_values(name, NameOID.COUNTRY_NAME),
        organizational_units=_values(name, NameOID.ORGANIZATIONAL_UNIT_NAME),
        localities=_values(name, NameOID.LOCALITY_NAME),
        provinces=_values(name, NameOID.STATE_OR_PROVINCE_NAME),
        street_addresses=_values(name, NameOID.STREET_ADDRESS),
        postal_codes=_values(name, NameOID.POSTAL_CODE),
        serial_number=("", *_values(name, NameOID.SERIAL_NUMBER))[-1],
    )


def _fingerprint(public_key: CertificatePublicKeyTypes) -> str:
    return hashlib.sha256(
        public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def _ends_at(pem: str, preferred: str) -> bool:
    try:
        return top_issuer_common_name(pem.encode()) == preferred
    except SecretUnusable:
        return False


def _names_that_differ(what: str, found: Sequence[str], wanted: Sequence[str]) -> list[str]:
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    lack = [f"its {what} lack {', '.join(missing[:3])}"] if missing else []
    return lack + ([f"its {what} have {', '.join(name[:253] for name in extra[:3])} too"] if extra else [])
