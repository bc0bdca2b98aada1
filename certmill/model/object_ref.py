"""Defines ObjectRef, the identity of an object in a home or a cluster, and the kinds that it may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CERTIFICATE: Final = "Certificate"
ISSUER: Final = "Issuer"
CLUSTER_ISSUER: Final = "ClusterIssuer"

ISSUER_KINDS: Final = (ISSUER, CLUSTER_ISSUER)
"""Another release may store further kinds: an unknown kind is neither a Certificate nor an issuer."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectRef:
    """The identity of an object. `namespace` is "" for a kind that has none. Its text is `kind/name` or
    `kind/namespace/name`: for Redis keys and messages."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, kind: str, namespace: str, name: str) -> ObjectRef:
        """The object of this kind that is named in `namespace`. A ClusterIssuer has no namespace, so its
        namespace is dropped."""
        return cls(kind=kind, namespace="" if kind == CLUSTER_ISSUER else namespace, name=name)

    @classmethod
    def from_path(cls, kind: str, path: str) -> ObjectRef:
        """The object of this kind with the path `namespace/name`, or `name` if the kind has no namespace."""
        namespace, _, name = path.rpartition("/")
        return cls(kind=kind, namespace=namespace, name=name)

    @classmethod
    def from_text(cls, text: str) -> ObjectRef:
        """The object with this text (`str(ref)`)."""
        kind, _, path = text.partition("/")
        return cls.from_path(kind, path)

    @property
    def path(self) -> str:
        """`namespace/name`, or `name` if the kind has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        return f"{self.kind}/{self.path}"
