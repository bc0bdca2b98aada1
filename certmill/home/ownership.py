"""Tracks which writer owns which key, label and annotation of a Secret, as the field managers of Kubernetes'
server-side apply do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from certmill.model.secret import Secret

_Value = TypeVar("_Value")

CERTMILL = "certmill"
"""The pipeline's writes of a Secret."""

APPLY = "apply"
"""A user's writes: by `certmill apply`, or by a Secret document in manifests/."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """The keys, labels and annotations of one writer."""

    keys: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    annotations: frozenset[str] = frozenset()

    def without(self, other: Owned) -> Owned:
        return Owned(
            keys=self.keys - other.keys,
            labels=self.labels - other.labels,
            annotations=self.annotations - other.annotations,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A Secret, the writer that owns each part, and the digest of the document that was last applied to it.
    Parts without an owner were written by other programs."""

    secret: Secret
    owners: Mapping[str, Owned] = field(default_factory=dict)
    applied: str = ""


def merged(held: Held | None, wanted: Secret, writer: str, *, applied: str = "") -> Held:
    """Return the Secret after `writer` wrote `wanted`. The writer's own parts become those of `wanted`; its
    parts that are not in `wanted` are removed; parts of other writers stay.

    The writer becomes the owner of a part of `wanted` that another writer owned. A Secret that already has a
    writer retains its type, as in cert-manager.
    """
    mine = Owned(
        keys=frozenset(wanted.data),
        labels=frozenset(wanted.labels),
        annotations=frozenset(wanted.annotations),
    )
    if held is None:
        return Held(secret=wanted, owners={writer: mine}, applied=applied)
    old, gone = held.secret, held.owners.get(writer, Owned()).without(mine)
    others = {name: owned.without(mine) for name, owned in held.owners.items() if name != writer}
    secret = replace(
        wanted,
        type=old.type if held.owners else wanted.type,
        data=_over(old.data, gone.keys, wanted.data),
        labels=_over(old.labels, gone.labels, wanted.labels),
        annotations=_over(old.annotations, gone.annotations, wanted.annotations),
    )
    return Held(secret=secret, owners={**others, writer: mine}, applied=applied or held.applied)


def _over(old: Mapping[str, _Value], gone: frozenset[str], new: Mapping[str, _Value]) -> dict[str, _Value]:
    return {**{name: value for name, value in old.items() if name not in gone}, **new}
