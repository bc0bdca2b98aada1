"""Defines the names of objects (`namespace/name`) and the identifiers of a certificate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

CertificateId = NewType("CertificateId", str)
"""`namespace/name` of a Certificate: the only argument of a Celery step."""


def certificate_id(namespace: str, name: str) -> CertificateId:
    """The id of a Certificate."""
    return CertificateId(f"{namespace}/{name}")


def split_id(certificate: CertificateId) -> tuple[str, str]:
    """(namespace, name) of a Certificate's id."""
    namespace, _, name = certificate.partition("/")
    return namespace, name


class IdentifierType(StrEnum):
    """The type of an identifier (RFC 8555 §9.7.7, RFC 8738)."""

    DNS = "dns"
    IP = "ip"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Identifier:
    """The identifier of an authorization. In an order a wildcard has the prefix `*.`; its authorization does
    not (RFC 8555 §7.1.3)."""

    type: IdentifierType
    value: str

    @property
    def is_wildcard(self) -> bool:
        return self.value.startswith("*.")

    @property
    def base(self) -> str:
        """The name without `*.`."""
        return self.value.removeprefix("*.")

    def __str__(self) -> str:
        return self.value
