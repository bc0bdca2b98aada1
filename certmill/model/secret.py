"""Defines a Secret: bytes by key, with type, labels and annotations. Its repr never shows the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TLS_TYPE = "kubernetes.io/tls"
OPAQUE_TYPE = "Opaque"
TLS_CERTIFICATE = "tls.crt"
TLS_PRIVATE_KEY = "tls.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A Secret in a home."""

    namespace: str
    name: str
    data: Mapping[str, bytes] = field(repr=False)
    type: str = OPAQUE_TYPE
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
