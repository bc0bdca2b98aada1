"""Validates names: the object names, keys, labels and annotations of Kubernetes, and the DNS names and IP
addresses of a certificate.

Each function returns the canonical form, or raises ValueError with a message that completes
"spec.dnsNames[0]: …"."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

MAX_NAME = 253
_MAX_LABEL = 63
_MAX_ANNOTATIONS_BYTES = 256 * 1024
_MAX_SHOWN = 80
_MAX_INPUT = 1024

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def shown(value: str) -> str:
    """A value in the form for a message: quoted, on one line, shortened. Never use it for the values of a
    Secret."""
    return repr(value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…")


def is_object_name(name: str) -> bool:
    """Whether this is a valid object name: an RFC 1123 subdomain."""
    return len(name) <= MAX_NAME and _SUBDOMAIN.fullmatch(name) is not None


def is_namespace_name(name: str) -> bool:
    """Whether this is a valid namespace name: an RFC 1123 label."""
    return _LABEL.fullmatch(name) is not None


def is_secret_key(key: str) -> bool:
    """Whether this is a valid key of a Secret."""
    return _SECRET_KEY.fullmatch(key) is not None and key != "." and not key.startswith("..")


def object_name(name: str) -> str:
    """Check the name of an object (it is also used as a file name). Raises ValueError."""
    if not name:
        raise ValueError("is required")
    if not is_object_name(name):
        raise ValueError(
            f"{shown(name)} is not a valid object name: lower-case letters, digits, '-' and '.', {MAX_NAME} "
            "characters at most"
        )
    return name


def namespace_name(name: str) -> str:
    """Check the name of a namespace. Raises ValueError."""
    if not is_namespace_name(name):
        raise ValueError(
            f"{shown(name)} is not a valid namespace: lower-case letters, digits and '-', {_MAX_LABEL} "
            "characters at most"
        )
    return name


def secret_key(key: str) -> str:
    """Check a key of a Secret. Raises ValueError."""
    if not is_secret_key(key):
        raise ValueError(
            f"is not a valid key of a Secret: letters, digits, '-', '_' and '.' ({MAX_NAME} at most), not "
            "beginning with '..'"
        )
    return key


def line(text: str) -> str:
    """Check that a text is one line without control characters. Raises ValueError."""
    if len(text) > _MAX_INPUT or _UNPRINTABLE.search(text):
        raise ValueError(f"must be one line without control characters, {_MAX_INPUT} characters at most")
    return text


def label_pairs(pairs: Mapping[str, str]) -> dict[str, str]:
    """Check metadata.labels, or the matchLabels of a selector. Raises ValueError."""
    for key, value in pairs.items():
        _check_key(key)
        if value and not _QUALIFIED.fullmatch(value):
            raise ValueError(
                f"{shown(key)} has a value that is not valid for a label: letters, digits, '-', '_' and '.', "
                f"{_MAX_LABEL} characters at most"
            )
    return dict(pairs)


def annotation_pairs(pairs: Mapping[str, str]) -> dict[str, str]:
    """Check metadata.annotations: any text, at most 256 KiB in total. Raises ValueError."""
    size = 0
    for key, value in pairs.items():
        _check_key(key.lower(), key)
        try:
            size += len(key) + len(value.encode())
        except UnicodeEncodeError:
            raise ValueError(f"the value of {shown(key)} is not valid Unicode") from None
    if size > _MAX_ANNOTATIONS_BYTES:
        raise ValueError(f"are larger than {_MAX_ANNOTATIONS_BYTES} bytes in all")
    return dict(pairs)


def _check_key(key: str, as_written: str = "") -> None:
    prefix, slash, name = key.rpartition("/")
    if (slash and (len(prefix) > MAX_NAME or not _SUBDOMAIN.fullmatch(prefix))) or not _QUALIFIED.fullmatch(
        name
    ):
        raise ValueError(
            f"{shown(as_written or key)} is not a valid key: [prefix/]name of letters, digits, '-', '_' and "
            "'.'"
        )


def dns_name(name: str) -> str:
    """The canonical form of a DNS name: lower case, IDNA U-labels as A-labels (UTS 46); '*' only as the whole
    leftmost label. Raises ValueError."""
    base = name.removeprefix("*.")
    if len(name) > _MAX_INPUT:
        raise ValueError(f"{shown(name)} is longer than a DNS name can be ({MAX_NAME} characters)")
    if is_ip_address(base):
        raise ValueError(f"{shown(name)} is an IP address; put it into ipAddresses")
    if "*" in base:
        raise ValueError(f"{shown(name)} has '*' elsewhere than as its whole first label")
    if base.endswith("."):
        raise ValueError(f"{shown(name)} ends with a dot; leave it away")
    ascii_name = base.lower() if base.isascii() else _to_a_labels(base)
    if is_ip_address(ascii_name):
        raise ValueError(f"{shown(name)} is an IP address; put it into ipAddresses")
    canonical = name[: len(name) - len(base)] + ascii_name
    if len(canonical) > MAX_NAME:
        raise ValueError(f"{shown(name)} is longer than a DNS name can be ({MAX_NAME} characters)")
    if (
        not all(_is_dns_label(label) for label in ascii_name.split("."))
        or ascii_name.rpartition(".")[2].isdigit()
    ):
        raise ValueError(
            f"{shown(name)} is not a valid DNS name: labels of letters, digits and '-', {_MAX_LABEL} "
            "characters at most, joined by '.'"
        )
    return canonical


def _to_a_labels(name: str) -> str:
    import idna  # imported only when a name needs it

    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
    except UnicodeError:
        raise ValueError(f"{shown(name)} is not a valid international DNS name (IDNA 2008, UTS 46)") from None


def _is_dns_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    if not label.startswith("xn--"):
        return True
    try:
        return not label[4:].encode("ascii").decode("punycode").isascii()
    except UnicodeError:
        return False


def is_ip_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ip_address(text: str) -> str:
    """The canonical text form of an IP address; an IPv4 address mapped into IPv6 becomes the IPv4 address.
    Raises ValueError."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a valid IP address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{shown(text)} has a zone; leave '%…' away")
        return str(address.ipv4_mapped or address)
    return str(address)


def host_and_port(text: str) -> tuple[str, int | None]:
    """(host, port or None) of `192.0.2.1:53`, `[2001:db8::1]:53` or `ns1.example.com`; an IPv6 address
    without a port needs no brackets. Raises ValueError."""
    if is_ip_address(text):
        return ip_address(text), None
    parts = _HOST_AND_PORT.fullmatch(text)
    if parts is None:
        raise ValueError(f"{shown(text)} is not a valid address: write 192.0.2.1:53 or [2001:db8::1]:53")
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and not 0 < port < 2**16:
        raise ValueError(f"{shown(text)} has no port from 1 to 65535 after its ':'")
    host = parts["v6"] or parts["host"]
    return (ip_address(host) if parts["v6"] or is_ip_address(host) else dns_name(host)), port


def field_path(parts: Iterable[str | int | None]) -> str:
    """A field path such as `spec.dnsNames[0]` or `metadata.annotations[certmill.io/x]`: on one line, with
    each part shortened."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part is not None and _PLAIN_KEY.fullmatch(part):
            path += f".{part}"
        elif part is not None:
            path += f"[{part[:_MAX_SHOWN].encode('unicode_escape').decode('ascii')}]"
    return path.removeprefix(".")
