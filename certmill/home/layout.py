"""The file names in a directory home, and the check of names that become paths: only names that Kubernetes
allows, so that no path leads out of the home."""

from __future__ import annotations

import hashlib

from certmill.errors import InvalidManifest
from certmill.model.identifiers import is_namespace_name, is_object_name, is_secret_key
from certmill.model.secret import Secret

_MAX_FILE_NAME = 200
_KEPT_CHARACTERS = 120

CLUSTER_ISSUER = "ClusterIssuer"

MAX_FILE_BYTES = 1_048_576
"""The limit of a manifest file and of one key of a Secret, in bytes (Kubernetes has this limit for a whole
Secret)."""


def is_name(namespace: str, name: str) -> bool:
    """Whether Kubernetes allows this namespace (empty: none) and name."""
    return (not namespace or is_namespace_name(namespace)) and is_object_name(name)


def namespace_of(kind: str, namespace: str) -> str:
    """Return `namespace`; for a ClusterIssuer return "", because it has no namespace."""
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
    """Return `<kind>.<namespace>.<name><suffix>`, without the namespace if there is none. A name that is too
    long for a file system is cut, and a digest is added."""
    stem = ".".join(part for part in (kind.lower(), namespace, name) if part)
    if len(stem) > _MAX_FILE_NAME:
        stem = f"{stem[:_KEPT_CHARACTERS]}-{hashlib.sha256(stem.encode()).hexdigest()[:32]}"
    return stem + suffix


def digest(text: str) -> str:
    """Return a short digest of a document's text. It is the same in every process."""
    return hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
