"""Typed metadata of Kubernetes objects, and helpers that read JSON of unknown shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias, cast

from certmill.model.instants import is_instant

_LAST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z

JsonObject: TypeAlias = dict[str, object]
"""An object as the API server sends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerReference:
    """metadata.ownerReferences[]."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """metadata. `created`: seconds since the epoch. `deleting`: the object has a deletionTimestamp."""

    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[OwnerReference, ...] = ()
    created: float = 0.0
    deleting: bool = False


def meta_of(body: Mapping[str, object]) -> Meta:
    """The metadata of an object, with defaults for missing fields."""
    metadata = mapping(body.get("metadata"))
    generation = metadata.get("generation")
    return Meta(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        resource_version=text(metadata.get("resourceVersion")),
        generation=generation if isinstance(generation, int) else 0,
        labels=strings(metadata.get("labels")),
        annotations=strings(metadata.get("annotations")),
        owners=tuple(_owner(mapping(owner)) for owner in sequence(metadata.get("ownerReferences"))),
        created=instant_of(metadata.get("creationTimestamp")) or 0.0,
        deleting=metadata.get("deletionTimestamp") is not None,
    )


def managed_fields(body: Mapping[str, object]) -> list[Mapping[str, object]]:
    """metadata.managedFields: which field manager owns which fields."""
    return [mapping(entry) for entry in sequence(mapping(body.get("metadata")).get("managedFields"))]


def _owner(reference: Mapping[str, object]) -> OwnerReference:
    return OwnerReference(
        api_version=text(reference.get("apiVersion")),
        kind=text(reference.get("kind")),
        name=text(reference.get("name")),
        uid=text(reference.get("uid")),
        controller=reference.get("controller") is True,
    )


def mapping(value: object) -> Mapping[str, object]:
    """A JSON object, or an empty one."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[object]:
    """A JSON array, or an empty one."""
    return value if isinstance(value, list) else ()


def text(value: object) -> str:
    """A JSON string, or ""."""
    return value if isinstance(value, str) else ""


def strings(value: object) -> dict[str, str]:
    """The string members of a JSON object."""
    return {name: member for name, member in mapping(value).items() if isinstance(member, str)}


def instant_of(value: object) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None for any other value, and for a time outside the years
    1 to 9999 of UTC."""
    try:
        seconds = datetime.fromisoformat(text(value)).timestamp() if value else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and is_instant(seconds) else None


def rfc3339(instant: float) -> str:
    """The form of metav1.Time: seconds, in UTC. What is outside of its years is its nearest: a status by hand
    may say anything."""
    return datetime.fromtimestamp(min(max(int(instant), 0), _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
