"""Names of files in a directory home, and which names may become paths: those that Kubernetes allows, so that none leads out of it."""

from __future__ import annotations

import hashlib
import re

from certmill.errors import InvalidManifest
from certmill.model.secret import Secret

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_MAX_NAME = 253
_MAX_FILE_NAME = 200
_KEPT_CHARACTERS = 120

CLUSTER_ISSUER = "ClusterIssuer"

MAX_FILE_BYTES = 1_048_576
"""Of a manifest file and of one key of a Secret (a whole Secret, in Kubernetes)."""


def is_name(namespace: str, name: str) -> bool:
    """Whether Kubernetes allows this namespace (RFC 1123 label; empty: none) and name (RFC 1123 subdomain)."""
    return (not namespace or _LABEL.fullmatch(namespace) is not None) and len(name) <= _MAX_NAME and _SUBDOMAIN.fullmatch(name) is not None


def is_secret_key(key: str) -> bool:
    """Whether Kubernetes allows this key in a Secret."""
    return _SECRET_KEY.fullmatch(key) is not None and key != "." and not key.startswith("..")


def require_names(kind: str, namespace: str, name: str) -> None:
    """Raise InvalidManifest unless the names may become paths."""
    if bool(namespace) is (kind == CLUSTER_ISSUER) or not is_name(namespace, "x"):
        raise InvalidManifest(f"{namespace[:64]!r} is no namespace for a {kind}", path="metadata.namespace")
    if not is_name("", name):
        raise InvalidManifest(f"{name[:64]!r} is no name for a {kind}", path="metadata.name")


def require_secret(secret: Secret) -> None:
    """Raise InvalidManifest unless the Secret's names and keys may become paths, and its values are not too large."""
    require_names("Secret", secret.namespace, secret.name)
    for key, value in secret.data.items():
        if not is_secret_key(key):
            raise InvalidManifest(f"{key[:64]!r} is no key for a Secret", path="data")
        if len(value) > MAX_FILE_BYTES:
            raise InvalidManifest(f"the value is larger than {MAX_FILE_BYTES} bytes", path=f"data[{key}]")


def file_name(kind: str, namespace: str, name: str, suffix: str) -> str:
    """`<kind>.<namespace>.<name><suffix>`, no namespace where there is none; what is too long for a file system is cut and digested."""
    stem = ".".join(part for part in (kind.lower(), namespace, name) if part)
    if len(stem) > _MAX_FILE_NAME:
        stem = f"{stem[:_KEPT_CHARACTERS]}-{hashlib.sha256(stem.encode()).hexdigest()[:32]}"
    return stem + suffix


def digest(text: str) -> str:
    """A short digest of a document's text, the same in every process."""
    return hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
