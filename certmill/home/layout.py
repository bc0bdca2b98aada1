"""File names in a directory home, and which names may become paths: only those that Kubernetes allows, so
that no path leads out of the home."""

from __future__ import annotations

import hashlib

from certmill.errors import InvalidManifest
from certmill.model.identifiers import is_namespace_name, is_object_name, is_secret_key
from certmill.model.secret import Secret

_MAX_FILE_NAME = 200
_KEPT_CHARACTERS = 120

CLUSTER_ISSUER = "ClusterIssuer"

MAX_FILE_BYTES = 1_048_576
"""Of a manifest file and of one key of a Secret (a whole Secret, in Kubernetes)."""


def is_name(namespace: str, name: str) -> bool:
    """Whether Kubernetes allows this namespace (empty: none) and name."""
    return (not namespace or is_namespace_name(namespace)) and is_object_name(name)


def namespace_of(kind: str, namespace: str) -> str:
    """`namespace`, but for a ClusterIssuer, which has none whatever it is given."""
    return "" if kind == CLUSTER_ISSUER else namespace


def require_names(kind: str, namespace: str, name: str) -> None:
    """Raise InvalidManifest unless the names may become paths."""
    if bool(namespace) is (kind == CLUSTER_ISSUER) or not is_name(namespace, "x"):
        raise InvalidManifest(
            f"{namespace[:64]!r} is not a valid namespace for a {kind}", path="metadata.namespace"
        )
    if not is_name("", name):
        raise InvalidManifest(f"{name[:64]!r} is not a valid name for a {kind}", path="metadata.name")


def require_secret(secret: Secret) -> None:
    """Raise InvalidManifest unless the Secret's names and keys may become paths, and its values are not too
    large."""
    require_names("Secret", secret.namespace, secret.name)
    for key, value in secret.data.items():
        if not is_secret_key(key):
            raise InvalidManifest(f"{key[:64]!r} is not a valid key for a Secret", path="data")
        if len(value) > MAX_FILE_BYTES:
            raise InvalidManifest(f"the value is larger than {MAX_FILE_BYTES} bytes", path=f"data[{key}]")


def file_name(kind: str, namespace: str, name: str, suffix: str) -> str:
    """`<kind>.<namespace>.<name><suffix>`, no namespace where there is none; what is too long for a file
    system is cut and digested."""
    stem = ".".join(part for part in (kind.lower(), namespace, name) if part)
    if len(stem) > _MAX_FILE_NAME:
        stem = f"{stem[:_KEPT_CHARACTERS]}-{hashlib.sha256(stem.encode()).hexdigest()[:32]}"
    return stem + suffix


def digest(text: str) -> str:
    """A short digest of a document's text, the same in every process."""
    return hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
