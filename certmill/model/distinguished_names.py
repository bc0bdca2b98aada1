"""Parses a distinguished name in text form (RFC 4514), as in spec.literalSubject.

It accepts what cert-manager's parser accepts (blanks around the parts, `;` for `,`), but it rejects an
attribute that it does not know, instead of losing it."""

from __future__ import annotations

import re
from typing import TypeAlias

from certmill.model.identifiers import shown

COMMON_NAME = "2.5.4.3"
COUNTRY = "2.5.4.6"

RelativeName: TypeAlias = tuple[tuple[str, str], ...]
"""One relative distinguished name: the (object identifier, value) of each of its attributes."""

_ATTRIBUTES = {
    "C": COUNTRY,
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "CN": COMMON_NAME,
    "SERIALNUMBER": "2.5.4.5",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "STREET": "2.5.4.9",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
}
_ATTRIBUTE = re.compile(
    r"\s*(?P<type>[A-Za-z]+|[0-2](?:\.[0-9]{1,19}){1,32})\s*=\s*(?P<value>(?:\\.|[^\\,;+])*)(?P<end>[,;+]?)",
    re.DOTALL,
)
_ESCAPED = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\.", re.DOTALL)
_SPECIAL = frozenset(' "#+,;<=>\\')


def parse_name(text: str) -> tuple[RelativeName, ...]:
    """The RDNs in the order of the certificate, which is the reverse of the text's order (RFC 4514 §2.1).
    Raises ValueError."""
    found: list[RelativeName] = []
    at, end = 0, ","
    while end:
        part = _ATTRIBUTE.match(text, at)
        if part is None or (not part["end"] and part.end() < len(text)):
            raise ValueError(f"{shown(text[at:])} is not an attribute of a name, such as O=Example")
        attribute = (_identifier(part["type"]), _value(part["value"]))
        found = [(*found[0], attribute), *found[1:]] if end == "+" else [(attribute,), *found]
        at, end = part.end(), part["end"]
    return tuple(found)


def common_name(name: tuple[RelativeName, ...]) -> str:
    """The common name in the name, or ""."""
    return next(
        (value for relative in name for identifier, value in relative if identifier == COMMON_NAME), ""
    )


def _identifier(type_: str) -> str:
    if not type_[0].isalpha():
        return type_
    if type_.upper() not in _ATTRIBUTES:
        raise ValueError(
            f"{shown(type_)} is not a known attribute; known are {', '.join(_ATTRIBUTES)}, and object "
            "identifiers such as 2.5.4.42"
        )
    return _ATTRIBUTES[type_.upper()]


def _value(raw: str) -> str:
    """The value of an attribute: without unescaped blanks around it, and with its escapes decoded (RFC 4514
    §2.4)."""
    raw = raw.lstrip()
    if raw.startswith("#"):
        raise ValueError("a value in hexadecimal BER (#…) is not taken: write its text")
    stripped = raw.rstrip()
    if (len(stripped) - len(stripped.rstrip("\\"))) % 2:
        stripped += raw[len(stripped)]  # the blank that the backslash escapes
    value = _ESCAPED.sub(_unescaped, stripped)
    if not value:
        raise ValueError("an attribute has no value")
    return value


def _unescaped(match: re.Match[str]) -> str:
    escape = match.group()
    if len(escape) == 2:
        if escape[1] not in _SPECIAL:
            raise ValueError(
                f"{shown(escape)} is not a valid escape: a backslash stands before a special character or "
                "two hexadecimal digits"
            )
        return escape[1]
    try:
        return bytes.fromhex(escape.replace("\\", "")).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{shown(escape)} is not valid UTF-8") from None
