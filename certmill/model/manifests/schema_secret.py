"""Schema of a v1 Secret. Messages never contain its values."""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from pydantic import Field

from certmill.errors import InvalidManifest
from certmill.model.identifiers import field_path, secret_key
from certmill.model.manifests.schema import Line, Metadata, Schema
from certmill.model.secret import OPAQUE_TYPE, Secret

MAX_SECRET_BYTES = 1024 * 1024
"""Kubernetes' limit for the sum of all values."""


class SecretManifest(Schema):
    """A whole Secret."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Metadata
    type: Line | None = None
    data: dict[str, str] | None = Field(default=None, repr=False)
    string_data: dict[str, str] | None = Field(default=None, repr=False)
    immutable: bool | None = None


def secret_of(manifest: SecretManifest, namespace: str) -> Secret:
    """The Secret; stringData overrides data. Raises InvalidManifest."""
    values = {key: _decoded(key, text) for key, text in (manifest.data or {}).items()}
    values |= {key: _encoded(key, text) for key, text in (manifest.string_data or {}).items()}
    if sum(map(len, values.values())) > MAX_SECRET_BYTES:
        raise InvalidManifest(f"its values are larger than {MAX_SECRET_BYTES} bytes in all", path="data")
    return Secret(
        namespace=namespace,
        name=manifest.metadata.name,
        data=values,
        type=manifest.type or OPAQUE_TYPE,
        labels=manifest.metadata.labels or {},
        annotations=manifest.metadata.annotations or {},
    )


def _decoded(key: str, text: str) -> bytes:
    path = _checked_path("data", key)
    try:
        return decode_base64(text)
    except ValueError:
        raise InvalidManifest("must be base64; a plain value goes into stringData", path=path) from None


def _encoded(key: str, text: str) -> bytes:
    path = _checked_path("stringData", key)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidManifest("must be valid Unicode", path=path) from None


def _checked_path(field: str, key: str) -> str:
    path = field_path((field, key))
    try:
        secret_key(key)
    except ValueError as error:
        raise InvalidManifest(str(error), path=path) from None
    return path


def decode_base64(text: str) -> bytes:
    """Decode standard base64 with padding; line breaks are ignored, as in Go. Raises ValueError."""
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", "").encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("must be base64") from None
