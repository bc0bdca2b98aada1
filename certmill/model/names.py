"""Names: of objects (`namespace/name`) and the identifiers that a certificate is for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

CertificateId = NewType("CertificateId", str)
"""`namespace/name` of a Certificate: the only argument a Celery step ever carries."""


def certificate_id(namespace: str, name: str) -> CertificateId:
    """The id of a Certificate."""
    return CertificateId(f"{namespace}/{name}")


def split_id(certificate: CertificateId) -> tuple[str, str]:
    """(namespace, name) of a Certificate's id."""
    namespace, _, name = certificate.partition("/")
    return namespace, name


class IdentifierType(StrEnum):
    """RFC 8555 §9.7.7, RFC 8738."""

    DNS = "dns"
    IP = "ip"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Identifier:
    """What an authorization is for. A wildcard keeps its `*.` in an order; its authorization has it removed
    (RFC 8555 §7.1.3)."""

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
