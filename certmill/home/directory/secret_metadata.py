"""The parts of a Secret besides its keys, as JSON in `..metadata.json`: type, labels, annotations, and which
writer owns what."""

from __future__ import annotations

import json
from collections.abc import Mapping

from certmill.errors import SecretUnusable
from certmill.home.ownership import Held, Owned
from certmill.model.secret import OPAQUE_TYPE, TLS_CERTIFICATE, TLS_PRIVATE_KEY, TLS_TYPE, Secret

FILE = "..metadata.json"
"""This name cannot be a key: no key of a Secret may begin with two dots."""


def encode(held: Held) -> bytes:
    """Return the metadata of a Secret as JSON, without its values."""
    owners = {
        writer: {
            "keys": sorted(owned.keys),
            "labels": sorted(owned.labels),
            "annotations": sorted(owned.annotations),
        }
        for writer, owned in sorted(held.owners.items())
    }
    secret = held.secret
    content = {
        "type": secret.type,
        "labels": dict(sorted(secret.labels.items())),
        "annotations": dict(sorted(secret.annotations.items())),
        "owners": owners,
        "applied": held.applied,
    }
    return json.dumps(content, indent=1).encode()


def decode(raw: bytes | None, namespace: str, name: str, data: Mapping[str, bytes]) -> Held:
    """Return the Secret of these keys and this metadata (None: a user put it there by hand). Raises
    SecretUnusable."""
    if raw is None:
        type_ = TLS_TYPE if TLS_CERTIFICATE in data and TLS_PRIVATE_KEY in data else OPAQUE_TYPE
        return Held(secret=Secret(namespace=namespace, name=name, type=type_, data=data))
    try:
        content = _object(json.loads(raw))
        secret = Secret(
            namespace=namespace,
            name=name,
            type=_text(content.get("type", OPAQUE_TYPE)),
            data=data,
            labels=_texts(content.get("labels", {})),
            annotations=_texts(content.get("annotations", {})),
        )
        owners = {
            writer: _owned(_object(owned)) for writer, owned in _object(content.get("owners", {})).items()
        }
        return Held(secret=secret, owners=owners, applied=_text(content.get("applied", "")))
    except (ValueError, RecursionError):
        raise SecretUnusable(
            f"the metadata of Secret {namespace}/{name} is damaged: delete its {FILE}, or the Secret"
        ) from None


def _owned(content: Mapping[str, object]) -> Owned:
    keys, labels, annotations = (_names(content.get(part, [])) for part in ("keys", "labels", "annotations"))
    return Owned(keys=keys, labels=labels, annotations=annotations)


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _texts(value: object) -> dict[str, str]:
    return {name: _text(text) for name, text in _object(value).items()}


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise ValueError("not a list")
    return frozenset(_text(name) for name in value)
