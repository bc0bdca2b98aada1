"""Check the names of a Certificate: at least one, not more than a CA takes, and a common name that is one of
them."""

from __future__ import annotations

from collections.abc import Collection

from certmill.errors import InvalidManifest
from certmill.model.distinguished_names import COUNTRY, parse_name
from certmill.model.distinguished_names import common_name as common_name_in
from certmill.model.identifiers import dns_name, ip_address, is_ip_address, shown
from certmill.model.manifests.certificate.schema import RequestSpec
from certmill.model.manifests.schema import refuse_if

MAX_NAMES = 100
"""Let's Encrypt's limit for the names of one certificate."""

MAX_COMMON_NAME = 64
_COMMON_NAME_TOO = (
    "must be one of the certificate's names too: an ACME CA issues no other common name (RFC 8555 §7.4); "
    "add it to spec.dnsNames, or remove it"
)


def check_names(spec: RequestSpec) -> None:
    """At least one name, and not more than a CA takes."""
    number = len({*(spec.dns_names or ())}) + len({*(spec.ip_addresses or ())})
    path = "spec.dnsNames" if spec.dns_names or not spec.ip_addresses else "spec.ipAddresses"
    refuse_if(
        number > MAX_NAMES,
        f"has {number} names with spec.ipAddresses, {MAX_NAMES} at most: make several Certificates",
        path,
    )
    if number or spec.uris or spec.email_addresses or spec.other_names:
        return
    refuse_if(bool(spec.common_name), _COMMON_NAME_TOO, "spec.commonName")
    raise InvalidManifest(
        "is required: a certificate needs at least one name in spec.dnsNames or spec.ipAddresses", path=path
    )


def _literal_common_name(text: str | None) -> str:
    path = "spec.literalSubject"
    if not text:
        return ""
    try:
        name = parse_name(text)
    except ValueError as error:
        raise InvalidManifest(str(error), path=path) from None
    countries = [value for relative in name for identifier, value in relative if identifier == COUNTRY]
    refuse_if(
        any(len(value) != 2 for value in countries),
        "has a country that is not a code of two letters (X.520 countryName)",
        path,
    )
    return common_name_in(name)


def common_name_of(spec: RequestSpec, names: Collection[str]) -> str:
    """The common name in the form of the name that it repeats, which ACME requires (RFC 8555 §7.4). "" if
    there is none. Raises InvalidManifest."""
    text = spec.common_name or _literal_common_name(spec.literal_subject)
    path = "spec.literalSubject" if spec.literal_subject else "spec.commonName"
    if not text:
        return ""
    try:
        canonical = ip_address(text) if is_ip_address(text) else dns_name(text)
    except ValueError:
        canonical = text
    if max(len(text), len(canonical)) > MAX_COMMON_NAME:
        raise InvalidManifest(f"is longer than {MAX_COMMON_NAME} characters; leave it away", path=path)
    if canonical not in names:
        raise InvalidManifest(f"{shown(text)} {_COMMON_NAME_TOO}", path=path)
    return canonical
